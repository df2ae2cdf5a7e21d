/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Code that all back ends share: arguments of create(), hand-overs. */

#include "drivers-glue/driver.h"

#include "base/text.h"
#include "base/uuid.h"

int create_args_check(const CreateArgs *args, VgpudError *reterr)
{
        char normal[UUID_STRLEN + 1];

        if (uuid_normalize(args->uuid, normal) < 0 || strcmp(normal, args->uuid) != 0)
                return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID, "\"%s\" is not a UUID in lower case",
                                        TEXT_QUOTE(args->uuid));

        return vgpu_attributes_check(args->attributes, reterr);
}

const VgpuWitness *create_args_witness(const CreateArgs *args, const char *device, VgpuWitness *buffer)
{
        g_assert(device);

        if (!args->record_fd)
                return NULL;

        *buffer = (VgpuWitness){ .device = device, .fd = *args->record_fd };

        return buffer;
}

int slot_reserve(const CreateArgs *args, const char *slot, const char *restore, VgpudError *reterr)
{
        int r;

        g_assert(vgpu_io_name_is_valid(slot));

        r = args->reserve ? args->reserve(slot, restore, args->reserve_userdata) : 0;

        if (r >= 0)
                return 0;

        return vgpud_error_set_errnof(reterr, VGPUD_ERROR_FAILED, r,
                                      "the reservation of %s cannot be recorded: %s", slot, g_strerror(-r));
}

Handover *handover_new(const InstanceDesc *instance, const char *sysfs_path, const char *qemu_device)
{
        Handover *h = g_new0(Handover, 1);
        GPtrArray *args = g_ptr_array_new();

        g_assert(g_path_is_absolute(sysfs_path));
        g_assert(instance->iommu_group >= -1);

        h->sysfs_path = g_strdup(sysfs_path);

        h->iommu_group = instance->iommu_group;
        if (instance->iommu_group >= 0)
                h->group_node = g_strdup_printf("/dev/vfio/%d", instance->iommu_group);
        if (instance->cdev)
                h->cdev_node = g_strconcat("/dev/vfio/devices/", instance->cdev, NULL);
        g_ptr_array_add(args, g_strdup("-device"));
        g_ptr_array_add(args, g_strdup_printf("vfio-pci,%s", qemu_device));
        g_ptr_array_add(args, NULL);
        h->qemu_args = (char **)g_ptr_array_free(args, FALSE);

        return h;
}

Handover *handover_new_pci(const InstanceDesc *instance)
{
        g_autofree char *path = NULL, *device = NULL;
        Handover *h;
        PciAddr a;

        g_assert(instance->slot);

        path = g_strconcat("/sys/bus/pci/devices/", instance->slot, NULL);
        device = g_strconcat("host=", instance->slot, NULL);
        h = handover_new(instance, path, device);

        if (pci_addr_parse(instance->slot, &a) >= 0)
                h->libvirt_xml = g_strdup_printf(
                                "<hostdev mode='subsystem' type='pci' managed='no'>\n"
                                "  <source>\n"
                                "    <address domain='0x%04x' bus='0x%02x' slot='0x%02x' function='0x%x'/>\n"
                                "  </source>\n"
                                "</hostdev>\n",
                                a.domain, a.bus, a.device, a.function);

        return h;
}

Handover *handover_free(Handover *h)
{
        if (!h)
                return NULL;

        g_free(h->sysfs_path);
        g_free(h->group_node);
        g_free(h->cdev_node);
        g_free(h->libvirt_xml);
        g_strfreev(h->qemu_args);
        g_free(h);

        return NULL;
}
