/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "cli/host/hand-over.h"

#include <string.h>

#include "cli/host/objects-json.h"
#include "cli/host/values.h"

void hand_over_done(HandOver *o)
{
        g_free(o->sysfs_path);
        g_free(o->group_node);
        g_free(o->cdev_node);
        g_free(o->libvirt_xml);
        g_strfreev(o->qemu_args);
        *o = HAND_OVER_INIT;
}

static int hand_over_read_entry(sd_bus_message *m, const char *key, void *userdata)
{
        HandOver *o = userdata;
        const TextEntry texts[] = {
                { "sysfs_path", &o->sysfs_path },
                { "group_node", &o->group_node },
                { "cdev_node", &o->cdev_node },
                { "libvirt_xml", &o->libvirt_xml },
                { NULL },
        };
        bool is_group = strcmp(key, "iommu_group") == 0;
        int32_t group;
        int r;

        if (!is_group && strcmp(key, "qemu_args") != 0)
                return value_read_texts(m, key, texts);

        r = value_enter(m, is_group ? "i" : "as");
        if (r <= 0)
                return r;

        if (is_group) {
                r = sd_bus_message_read_basic(m, 'i', &group);
                if (r >= 0)
                        o->iommu_group = MAX(group, -1);
        } else {
                g_strfreev(g_steal_pointer(&o->qemu_args));
                r = value_read_strings(m, &o->qemu_args);
        }

        return r < 0 ? r : sd_bus_message_exit_container(m);
}

int hand_over_read(HandOver *o, sd_bus_message *m)
{
        g_assert(!o->sysfs_path);

        return value_read_dictionary(m, hand_over_read_entry, o);
}

void json_hand_over(Json *j, const char *key, const HandOver *o)
{
        json_object(j, key);
        json_string(j, "sysfs_path", o->sysfs_path);
        json_number(j, "iommu_group", o->iommu_group);
        json_string(j, "group_node", o->group_node);
        json_string(j, "cdev_node", o->cdev_node);
        json_string(j, "libvirt_xml", o->libvirt_xml);

        if (o->qemu_args)
                json_strings(j, "qemu_args", o->qemu_args);
        else
                json_null(j, "qemu_args");

        json_object_end(j);
}
