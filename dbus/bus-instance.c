/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "dbus/bus-instance.h"

#include <inttypes.h>
#include <string.h>

#include "daemon/model/events.h"
#include "daemon/model/gpu.h"
#include "daemon/model/instance.h"
#include "daemon/requests/destroy.h"
#include "daemon/work/job.h"
#include "dbus/bus-error.h"
#include "dbus/bus-request.h"
#include "dbus/bus-util.h"

BUS_DEFINE_TEXT_GETTER(property_get_uuid, Instance, instance, instance->desc->uuid)
BUS_DEFINE_TEXT_GETTER(property_get_name, Instance, instance, instance->name)
BUS_DEFINE_PATH_GETTER(property_get_gpu, Instance, instance, bus_path_gpu(gpu_name(instance->gpu)))
BUS_DEFINE_TEXT_GETTER(property_get_parent, Instance, instance, instance->desc->parent)
BUS_DEFINE_TEXT_GETTER(property_get_slot, Instance, instance, instance->desc->slot)
BUS_DEFINE_TEXT_GETTER(property_get_type, Instance, instance, instance->desc->type_id)
BUS_DEFINE_TEXT_GETTER(property_get_device_api, Instance, instance, instance->desc->device_api)
BUS_DEFINE_TEXT_GETTER(property_get_driver, Instance, instance, instance->desc->driver)
BUS_DEFINE_TEXT_GETTER(property_get_origin, Instance, instance, instance_origin_to_string(instance->origin))
BUS_DEFINE_TEXT_GETTER(property_get_state, Instance, instance, instance_state_to_string(instance->state))
BUS_DEFINE_GETTER(property_get_owner, Instance, instance, "u", instance->owner)
BUS_DEFINE_GETTER(property_get_created_usec, Instance, instance, "t", instance->created_usec)
BUS_DEFINE_GETTER(property_get_iommu_group, Instance, instance, "i", instance->desc->iommu_group)
BUS_DEFINE_PATH_GETTER(property_get_job, Instance, instance,
                       instance->job ? bus_path_job(instance->job->id) : NULL)

/* An exact comparison: an alias may be the id of another type. */
static const VgpuType *instance_type(const Instance *instance)
{
        const GPtrArray *types = instance->gpu->snapshot ? instance->gpu->snapshot->types : NULL;

        for (guint i = 0; types && i < types->len; i++) {
                const VgpuType *type = types->pdata[i];

                if (g_strcmp0(type->id, instance->desc->type_id) == 0)
                        return type;
        }

        return NULL;
}

static int property_get_type_name(sd_bus *bus, const char *path, const char *interface, const char *property,
                                  sd_bus_message *reply, void *userdata, sd_bus_error *ret_error)
{
        const Instance *instance = userdata;
        const VgpuType *type = instance_type(instance);

        return bus_append_text(reply, type && type->name ? type->name : instance->desc->type_id);
}

static int property_get_sysfs_path(sd_bus *bus, const char *path, const char *interface, const char *property,
                                   sd_bus_message *reply, void *userdata, sd_bus_error *ret_error)
{
        const Instance *instance = userdata;
        g_autofree char *sysfs_path = g_strconcat("/sys/", instance->desc->path, NULL);

        return bus_append_text(reply, sysfs_path);
}

static int instance_append_handover(sd_bus_message *reply, const Handover *h)
{
        int r;

        r = bus_append_entry_string(reply, "sysfs_path", h->sysfs_path);
        if (r >= 0 && h->iommu_group >= 0)
                r = bus_append_entry(reply, "iommu_group", "i", h->iommu_group);
        if (r >= 0)
                r = bus_append_entry_string(reply, "group_node", h->group_node);
        if (r >= 0)
                r = bus_append_entry_string(reply, "cdev_node", h->cdev_node);
        if (r >= 0)
                r = bus_append_entry_string(reply, "libvirt_xml", h->libvirt_xml);
        if (r >= 0)
                r = bus_append_entry_strings(reply, "qemu_args", h->qemu_args);

        return r;
}

static int property_get_attributes(sd_bus *bus, const char *path, const char *interface, const char *property,
                                   sd_bus_message *reply, void *userdata, sd_bus_error *ret_error)
{
        const Instance *instance = userdata;
        const GPtrArray *attributes = instance->desc->attributes;
        int r;

        r = sd_bus_message_open_container(reply, 'a', "{ss}");

        for (guint i = 0; r >= 0 && attributes && i < attributes->len; i++) {
                const VgpuAttribute *a = attributes->pdata[i];

                r = sd_bus_message_open_container(reply, 'e', "ss");
                if (r >= 0)
                        r = bus_append_text(reply, a->name);
                if (r >= 0)
                        r = bus_append_text(reply, a->value);
                if (r >= 0)
                        r = sd_bus_message_close_container(reply);
        }

        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int property_get_hand_over(sd_bus *bus, const char *path, const char *interface, const char *property,
                                  sd_bus_message *reply, void *userdata, sd_bus_error *ret_error)
{
        const Instance *instance = userdata;
        const VgpuDriver *driver = instance->gpu->driver;
        Handover *h = driver && !instance_is_incomplete(instance) ? driver->handover(instance->desc) : NULL;
        int r;

        r = sd_bus_message_open_container(reply, 'a', "{sv}");
        if (r >= 0 && h)
                r = instance_append_handover(reply, h);
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        handover_free(h);

        return r;
}

/* ---- methods ---- */

typedef struct DestroyArguments {
        Model *model;
        Instance *instance;
        bool foreign;
        uint64_t timeout_usec;
} DestroyArguments;

static bool instance_is_foreign(const Instance *instance)
{
        return instance->origin == INSTANCE_ORIGIN_FOREIGN;
}

static int destroy_check(const void *arguments, VgpudError *reterr)
{
        const DestroyArguments *a = arguments;

        if (!instance_is_foreign(a->instance) || a->foreign)
                return 0;

        return vgpud_error_setf(
                        reterr, VGPUD_ERROR_FOREIGN,
                        "vgpud did not make instance %s; to remove it all the same, say so with the option 'foreign'",
                        a->instance->desc->uuid);
}

static int destroy_queue(void *arguments, uid_t requester, Job **ret, VgpudError *reterr)
{
        const DestroyArguments *a = arguments;

        g_assert(a->foreign || !instance_is_foreign(a->instance));

        return request_destroy(a->model, a->instance, instance_is_foreign(a->instance), requester, ret,
                               reterr);
}

int bus_instance_destroy(Bus *b, sd_bus_message *call, Instance *instance, sd_bus_error *ret_error)
{
        bool is_foreign = instance_is_foreign(instance);
        DestroyArguments a = { .model = b->model, .instance = instance };
        BusRequest request = {
                .action = is_foreign ? POLKIT_DESTROY_FOREIGN : POLKIT_DESTROY,
                .arguments = &a,
                .check = destroy_check,
                .queue = destroy_queue,
        };
        const BusOption options[] = {
                { "foreign", "b", &a.foreign },
                { "wait", "b", &request.wait },
                BUS_TIMEOUT_OPTION(a.timeout_usec),
        };
        _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;
        g_autofree char *owner = g_strdup_printf("%" PRIu32, (uint32_t)instance->owner);
        int r;

        r = bus_read_options(call, options, G_N_ELEMENTS(options), &e);
        if (r >= 0)
                r = bus_authz_caller(call, &request.requester, &e);
        if (r < 0)
                return bus_error_set(ret_error, r, &e);

        const char *details[] = {
                "gpu",      gpu_name(instance->gpu),
                "type",     instance->desc->type_id ? instance->desc->type_id : "",
                "instance", instance->desc->uuid,
                "name",     instance->name ? instance->name : "",
                "owner",    owner,
                "mine",     !is_foreign && instance->owner == request.requester ? "yes" : "no",
                NULL,
        };
        request.details = details;

        return bus_request_run(b, call, &request, ret_error);
}

static int method_destroy(sd_bus_message *call, void *userdata, sd_bus_error *ret_error)
{
        return bus_instance_destroy(bus_of_call(call), call, userdata, ret_error);
}

static const BusChange instance_changes[] = {
        { INSTANCE_CHANGED_DESC, "Parent" },     { INSTANCE_CHANGED_DESC, "Type" },
        { INSTANCE_CHANGED_DESC, "TypeName" },   { INSTANCE_CHANGED_DESC, "DeviceApi" },
        { INSTANCE_CHANGED_DESC, "Driver" },     { INSTANCE_CHANGED_DESC, "SysfsPath" },
        { INSTANCE_CHANGED_DESC, "IommuGroup" }, { INSTANCE_CHANGED_DESC, "HandOver" },
        { INSTANCE_CHANGED_DESC, "Slot" },       { INSTANCE_CHANGED_DESC, "Attributes" },
        { INSTANCE_CHANGED_ORIGIN, "Name" },     { INSTANCE_CHANGED_ORIGIN, "Origin" },
        { INSTANCE_CHANGED_ORIGIN, "Owner" },    { INSTANCE_CHANGED_ORIGIN, "CreatedUsec" },
        { INSTANCE_CHANGED_STATE, "State" },     { INSTANCE_CHANGED_JOB, "Job" },
};

char **bus_instance_properties(unsigned changes)
{
        return bus_changed_properties(instance_changes, G_N_ELEMENTS(instance_changes), changes);
}

const sd_bus_vtable bus_instance_vtable[] = {
        SD_BUS_VTABLE_START(0),
        BUS_PROPERTY_CONST("Uuid", "s", property_get_uuid),
        BUS_PROPERTY_CHANGES("Name", "s", property_get_name),
        BUS_PROPERTY_CONST("Gpu", "o", property_get_gpu),
        BUS_PROPERTY_CHANGES("Parent", "s", property_get_parent),
        BUS_PROPERTY_CHANGES("Slot", "s", property_get_slot),
        BUS_PROPERTY_CHANGES("Type", "s", property_get_type),
        BUS_PROPERTY_CHANGES("TypeName", "s", property_get_type_name),
        BUS_PROPERTY_CHANGES("DeviceApi", "s", property_get_device_api),
        BUS_PROPERTY_CHANGES("Driver", "s", property_get_driver),
        BUS_PROPERTY_CHANGES("Origin", "s", property_get_origin),
        BUS_PROPERTY_CHANGES("State", "s", property_get_state),
        BUS_PROPERTY_CHANGES("Owner", "u", property_get_owner),
        BUS_PROPERTY_CHANGES("CreatedUsec", "t", property_get_created_usec),
        BUS_PROPERTY_CHANGES("SysfsPath", "s", property_get_sysfs_path),
        BUS_PROPERTY_CHANGES("IommuGroup", "i", property_get_iommu_group),
        BUS_PROPERTY_CHANGES("Attributes", "a{ss}", property_get_attributes),
        BUS_PROPERTY_CHANGES("HandOver", "a{sv}", property_get_hand_over),
        BUS_PROPERTY_CHANGES("Job", "o", property_get_job),
        SD_BUS_METHOD_WITH_ARGS("Destroy", SD_BUS_ARGS("a{sv}", options), SD_BUS_RESULT("o", job),
                                method_destroy, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END,
};
