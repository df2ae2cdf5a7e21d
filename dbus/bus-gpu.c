/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "dbus/bus-gpu.h"

#include <inttypes.h>
#include <string.h>

#include "daemon/model/events.h"
#include "daemon/model/gpu.h"
#include "daemon/model/instance.h"
#include "daemon/requests/gpu.h"
#include "daemon/work/job.h"
#include "dbus/bus-error.h"
#include "dbus/bus-request.h"
#include "dbus/bus-util.h"

BUS_DEFINE_TEXT_GETTER(property_get_name, Gpu, gpu, gpu_name(gpu))
BUS_DEFINE_TEXT_GETTER(property_get_subsystem, Gpu, gpu, gpu->facts->subsystem)
BUS_DEFINE_GETTER(property_get_vendor_id, Gpu, gpu, "q", gpu->facts->vendor)
BUS_DEFINE_GETTER(property_get_device_id, Gpu, gpu, "q", gpu->facts->device)
BUS_DEFINE_GETTER(property_get_subsystem_vendor_id, Gpu, gpu, "q", gpu->facts->subsystem_vendor)
BUS_DEFINE_GETTER(property_get_subsystem_device_id, Gpu, gpu, "q", gpu->facts->subsystem_device)
BUS_DEFINE_GETTER(property_get_class, Gpu, gpu, "u", gpu->facts->class)
BUS_DEFINE_TEXT_GETTER(property_get_vendor_name, Gpu, gpu, gpu->facts->vendor_name)
BUS_DEFINE_TEXT_GETTER(property_get_device_name, Gpu, gpu, gpu->facts->device_name)
BUS_DEFINE_TEXT_GETTER(property_get_driver, Gpu, gpu, gpu->facts->driver)
BUS_DEFINE_TEXT_GETTER(property_get_back_end, Gpu, gpu, gpu->driver ? gpu->driver->name : NULL)
BUS_DEFINE_TEXT_GETTER(property_get_state, Gpu, gpu, gpu_state_to_string(gpu->state))
BUS_DEFINE_TEXT_GETTER(property_get_reason, Gpu, gpu, gpu->reason)
BUS_DEFINE_GETTER(property_get_stale, Gpu, gpu, "b", gpu_is_stale(gpu))
BUS_DEFINE_GETTER(property_get_numa_node, Gpu, gpu, "i", gpu->facts->numa_node)
BUS_DEFINE_GETTER(property_get_iommu_group, Gpu, gpu, "i", gpu->facts->iommu_group)
BUS_DEFINE_TEXT_GETTER(property_get_link_speed, Gpu, gpu, gpu->facts->link_speed)
BUS_DEFINE_TEXT_GETTER(property_get_link_speed_max, Gpu, gpu, gpu->facts->link_speed_max)
BUS_DEFINE_GETTER(property_get_link_width, Gpu, gpu, "u", gpu->facts->link_width)
BUS_DEFINE_GETTER(property_get_link_width_max, Gpu, gpu, "u", gpu->facts->link_width_max)
BUS_DEFINE_GETTER(property_get_boot_display, Gpu, gpu, "b", gpu->facts->boot_display)
BUS_DEFINE_GETTER(property_get_total_vfs, Gpu, gpu, "u", gpu->facts->total_vfs)
BUS_DEFINE_GETTER(property_get_enabled_vfs, Gpu, gpu, "u", gpu->facts->enabled_vfs)
BUS_DEFINE_PATH_GETTER(property_get_job, Gpu, gpu, gpu->current ? bus_path_job(gpu->current->id) : NULL)
BUS_DEFINE_GETTER(property_get_queued_jobs, Gpu, gpu, "u", gpu->waiting.length)
BUS_DEFINE_GETTER(property_get_scanned_usec, Gpu, gpu, "t",
                  gpu->snapshot ? gpu->snapshot->taken_usec : (uint64_t)0)

static int property_get_sysfs_path(sd_bus *bus, const char *path, const char *interface, const char *property,
                                   sd_bus_message *reply, void *userdata, sd_bus_error *ret_error)
{
        const Gpu *gpu = userdata;
        g_autofree char *sysfs_path = g_strconcat("/sys/", gpu->facts->path, NULL);

        return bus_append_text(reply, sysfs_path);
}

/* The devices with mediated types; else the VFs; else the GPU, unless VFs are possible. */
static int property_get_parents(sd_bus *bus, const char *path, const char *interface, const char *property,
                                sd_bus_message *reply, void *userdata, sd_bus_error *ret_error)
{
        const Gpu *gpu = userdata;
        const GpuFacts *facts = gpu->facts;
        guint n_mdev = facts->mdev_parents ? facts->mdev_parents->len : 0;
        guint n_vfs = facts->vfs ? facts->vfs->len : 0;
        int r;

        r = sd_bus_message_open_container(reply, 'a', "s");

        for (guint i = 0; r >= 0 && i < n_mdev; i++)
                r = bus_append_text(reply, ((const MdevParent *)facts->mdev_parents->pdata[i])->name);
        for (guint i = 0; r >= 0 && gpu->driver && n_mdev == 0 && i < n_vfs; i++)
                r = bus_append_text(reply, ((const VgpuVf *)facts->vfs->pdata[i])->name);
        if (r >= 0 && gpu->driver && n_mdev == 0 && facts->total_vfs == 0 && gpu->state != GPU_UNPREPARED)
                r = bus_append_text(reply, facts->name);
        if (r < 0)
                return r;

        return sd_bus_message_close_container(reply);
}

static const VgpuVf *gpu_vf_of(const Instance *instance)
{
        const VgpuVf *vf = instance->desc->slot ? gpu_facts_find_vf(instance->gpu->facts, instance->desc->slot)
                                                : NULL;

        if (!vf && instance->desc->parent)
                vf = gpu_facts_find_vf(instance->gpu->facts, instance->desc->parent);

        return vf;
}

bool bus_gpu_instance_has_vf(const Instance *instance)
{
        return gpu_vf_of(instance);
}

/* VF -> Instance on it. Of several instances, the one with the lowest UUID. */
static GHashTable *gpu_occupancy(const Gpu *gpu)
{
        GHashTable *table = g_hash_table_new(NULL, NULL);
        GHashTableIter i;
        void *value;

        g_hash_table_iter_init(&i, gpu->instances);

        while (g_hash_table_iter_next(&i, NULL, &value)) {
                const VgpuVf *vf = gpu_vf_of(value);
                const Instance *other = vf ? g_hash_table_lookup(table, vf) : NULL;

                if (vf && (!other || strcmp(((const Instance *)value)->desc->uuid, other->desc->uuid) < 0))
                        g_hash_table_insert(table, (void *)vf, value);
        }

        return table;
}

static int append_vf(sd_bus_message *reply, const VgpuVf *vf, const Instance *instance, const VgpuVfBinding *b)
{
        g_autofree char *on_it = instance ? bus_path_instance(instance->desc->uuid) : NULL;
        int r = sd_bus_message_open_container(reply, 'r', "usoss");

        if (r >= 0)
                r = sd_bus_message_append(reply, "uso", vf->index, vf->name, on_it ? on_it : "/");
        if (r >= 0)
                r = bus_append_text(reply, b ? b->driver : NULL);
        if (r >= 0)
                r = bus_append_text(reply, b ? b->override : NULL);

        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int property_get_vfs(sd_bus *bus, const char *path, const char *interface, const char *property,
                            sd_bus_message *reply, void *userdata, sd_bus_error *ret_error)
{
        const Gpu *gpu = userdata;
        const GPtrArray *vfs = gpu->facts->vfs;
        g_autoptr(GHashTable) instances = gpu_occupancy(gpu);
        int r;

        r = sd_bus_message_open_container(reply, 'a', "(usoss)");

        for (guint i = 0; r >= 0 && vfs && i < vfs->len; i++) {
                const VgpuVf *vf = vfs->pdata[i];
                const Instance *instance = g_hash_table_lookup(instances, vf);
                const VgpuVfBinding *b =
                                gpu->snapshot ? gpu_snapshot_find_binding(gpu->snapshot, vf->name) : NULL;

                r = append_vf(reply, vf, instance, b);
        }

        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int append_mode(sd_bus_message *reply, const VgpuMode *mode)
{
        int r;

        r = sd_bus_message_open_container(reply, 'e', "sa{sv}");
        if (r >= 0)
                r = bus_append_text(reply, mode->name);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "{sv}");
        if (r >= 0)
                r = bus_append_entry_string(reply, "Value", mode->value ? mode->value : "");
        if (r >= 0)
                r = bus_append_entry_strings(reply, "Choices", mode->choices);
        if (r >= 0)
                r = bus_append_entry_string(reply, "Help", mode->help);
        if (r >= 0)
                r = sd_bus_message_close_container(reply);

        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int property_get_modes(sd_bus *bus, const char *path, const char *interface, const char *property,
                              sd_bus_message *reply, void *userdata, sd_bus_error *ret_error)
{
        const Gpu *gpu = userdata;
        const GPtrArray *modes = gpu->snapshot ? gpu->snapshot->modes : NULL;
        int r;

        r = sd_bus_message_open_container(reply, 'a', "{sa{sv}}");

        for (guint i = 0; r >= 0 && modes && i < modes->len; i++)
                r = append_mode(reply, modes->pdata[i]);

        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int append_aliases(sd_bus_message *reply, const VgpuType *type)
{
        g_auto(GStrv) aliases = vgpu_type_aliases(type);

        return bus_append_entry_strings(reply, "Aliases", aliases);
}

static int append_options(sd_bus_message *reply, const GPtrArray *options)
{
        int r;

        if (!options || options->len == 0)
                return 0;

        r = sd_bus_message_open_container(reply, 'e', "sv");
        if (r >= 0)
                r = sd_bus_message_append_basic(reply, 's', "Options");
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'v', "a(ss)");
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "(ss)");
        for (guint i = 0; r >= 0 && i < options->len; i++) {
                const VgpuTypeOption *o = options->pdata[i];

                r = sd_bus_message_open_container(reply, 'r', "ss");
                if (r >= 0)
                        r = bus_append_text(reply, o->name);
                if (r >= 0)
                        r = bus_append_text(reply, o->help);
                if (r >= 0)
                        r = sd_bus_message_close_container(reply);
        }

        for (unsigned i = 0; r >= 0 && i < 3; i++)
                r = sd_bus_message_close_container(reply);

        return r;
}

static int append_type(sd_bus_message *reply, const VgpuType *type)
{
        const struct {
                const char *key;
                uint32_t value;
        } numbers[] = {
                { "Fences", type->fences },
                { "Weight", type->weight },
                { "Heads", type->heads },
                { "FrameRateLimit", type->frame_rate_limit },
                { "MaxX", type->max_x },
                { "MaxY", type->max_y },
                { "MaxInstances", type->max_instances },
        };
        const struct {
                const char *key;
                const char *value;
        } texts[] = {
                { "WhyNot", type->why_not },           { "Key", type->key },
                { "Product", type->product },          { "Class", type->class },
                { "EarlierName", type->earlier_name },
        };
        int r;

        r = sd_bus_message_open_container(reply, 'e', "sa{sv}");
        if (r < 0)
                return r;

        r = bus_append_text(reply, type->id);
        if (r < 0)
                return r;

        r = sd_bus_message_open_container(reply, 'a', "{sv}");
        if (r >= 0)
                r = bus_append_entry_string(reply, "Name", type->name ? type->name : type->id);
        if (r >= 0)
                r = bus_append_entry_string(reply, "Description", type->description ? type->description : "");
        if (r >= 0)
                r = bus_append_entry_string(reply, "DeviceApi", type->device_api ? type->device_api : "");
        if (r >= 0)
                r = append_aliases(reply, type);
        if (r >= 0)
                r = bus_append_entry(reply, "Available", "u", type->available);
        if (r >= 0)
                r = bus_append_entry_u64(reply, "FramebufferBytes", type->framebuffer_bytes);
        if (r >= 0)
                r = bus_append_entry_u64(reply, "LowGmBytes", type->low_gm_bytes);
        if (r >= 0)
                r = bus_append_entry_u64(reply, "HighGmBytes", type->high_gm_bytes);
        for (size_t i = 0; r >= 0 && i < G_N_ELEMENTS(numbers); i++)
                r = bus_append_entry_u32(reply, numbers[i].key, numbers[i].value);
        for (size_t i = 0; r >= 0 && i < G_N_ELEMENTS(texts); i++)
                r = bus_append_entry_string(reply, texts[i].key, texts[i].value);
        if (r >= 0 && type->mig)
                r = bus_append_entry(reply, "Mig", "b", true);
        if (r >= 0)
                r = append_options(reply, type->options);
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        if (r >= 0)
                r = sd_bus_message_close_container(reply);

        return r;
}

static int property_get_types(sd_bus *bus, const char *path, const char *interface, const char *property,
                              sd_bus_message *reply, void *userdata, sd_bus_error *ret_error)
{
        const Gpu *gpu = userdata;
        const GPtrArray *types = gpu->snapshot ? gpu->snapshot->types : NULL;
        int r;

        r = sd_bus_message_open_container(reply, 'a', "{sa{sv}}");

        for (guint i = 0; r >= 0 && types && i < types->len; i++)
                r = append_type(reply, types->pdata[i]);
        if (r < 0)
                return r;

        return sd_bus_message_close_container(reply);
}

/* ---- methods ---- */

static int gpu_queue_rescan(void *arguments, uid_t requester, Job **ret, VgpudError *reterr)
{
        return request_rescan(arguments, requester, ret, reterr);
}

static int method_rescan(sd_bus_message *call, void *userdata, sd_bus_error *ret_error)
{
        Gpu *gpu = userdata;
        const char *details[] = { "gpu", gpu_name(gpu), NULL };
        BusRequest request = {
                .action = POLKIT_RESCAN,
                .details = details,
                .arguments = gpu,
                .queue = gpu_queue_rescan,
        };
        const BusOption options[] = {
                { "wait", "b", &request.wait },
        };
        _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;
        int r;

        r = bus_read_options(call, options, G_N_ELEMENTS(options), &e);
        if (r >= 0)
                r = bus_authz_caller(call, &request.requester, &e);
        if (r < 0)
                return bus_error_set(ret_error, r, &e);

        return bus_request_run(bus_of_call(call), call, &request, ret_error);
}

typedef struct SetVfsArguments {
        Gpu *gpu;
        uint32_t count;
        uint64_t timeout_usec;
} SetVfsArguments;

static int set_vfs_check(const void *arguments, VgpudError *reterr)
{
        const SetVfsArguments *a = arguments;

        return request_check_set_vfs(a->gpu, a->count, reterr);
}

static int set_vfs_queue(void *arguments, uid_t requester, Job **ret, VgpudError *reterr)
{
        const SetVfsArguments *a = arguments;

        return request_set_vfs(a->gpu, a->count, requester, ret, reterr);
}

static int method_set_vfs(sd_bus_message *call, void *userdata, sd_bus_error *ret_error)
{
        SetVfsArguments a = { .gpu = userdata };
        BusRequest request = {
                .action = POLKIT_SET_VFS,
                .arguments = &a,
                .check = set_vfs_check,
                .queue = set_vfs_queue,
        };
        const BusOption options[] = {
                { "wait", "b", &request.wait },
                BUS_TIMEOUT_OPTION(a.timeout_usec),
        };
        _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;
        g_autofree char *count = NULL;
        int r;

        r = sd_bus_message_read(call, "u", &a.count);
        if (r >= 0)
                r = bus_read_options(call, options, G_N_ELEMENTS(options), &e);
        if (r >= 0)
                r = bus_authz_caller(call, &request.requester, &e);
        if (r < 0)
                return bus_error_set(ret_error, r, &e);

        count = g_strdup_printf("%" PRIu32, a.count);
        const char *details[] = { "gpu", gpu_name(a.gpu), "count", count, NULL };
        request.details = details;

        return bus_request_run(bus_of_call(call), call, &request, ret_error);
}

typedef struct ConfigureArguments {
        Gpu *gpu;
        const char *mode, *value;
        uint64_t timeout_usec;
} ConfigureArguments;

/* Also keeps texts of the caller out of the dialogue that asks for a password. */
static int configure_check(const void *arguments, VgpudError *reterr)
{
        const ConfigureArguments *a = arguments;

        return request_check_configure(a->gpu, a->mode, a->value, reterr);
}

static int configure_queue(void *arguments, uid_t requester, Job **ret, VgpudError *reterr)
{
        const ConfigureArguments *a = arguments;

        return request_configure(a->gpu, a->mode, a->value, requester, ret, reterr);
}

static int method_configure(sd_bus_message *call, void *userdata, sd_bus_error *ret_error)
{
        ConfigureArguments a = { .gpu = userdata };
        BusRequest request = {
                .action = POLKIT_CONFIGURE,
                .arguments = &a,
                .check = configure_check,
                .queue = configure_queue,
        };
        const BusOption options[] = {
                { "wait", "b", &request.wait },
                BUS_TIMEOUT_OPTION(a.timeout_usec),
        };
        _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;
        int r;

        r = sd_bus_message_read(call, "ss", &a.mode, &a.value);
        if (r >= 0)
                r = bus_read_options(call, options, G_N_ELEMENTS(options), &e);
        if (r >= 0)
                r = bus_authz_caller(call, &request.requester, &e);
        if (r < 0)
                return bus_error_set(ret_error, r, &e);

        const char *details[] = { "gpu", gpu_name(a.gpu), "mode", a.mode, "value", a.value, NULL };
        request.details = details;

        return bus_request_run(bus_of_call(call), call, &request, ret_error);
}

static const BusChange gpu_changes[] = {
        { GPU_CHANGED_FACTS, "VendorName" },
        { GPU_CHANGED_FACTS, "DeviceName" },
        { GPU_CHANGED_FACTS, "Driver" },
        { GPU_CHANGED_FACTS, "NumaNode" },
        { GPU_CHANGED_FACTS, "IommuGroup" },
        { GPU_CHANGED_FACTS, "LinkSpeed" },
        { GPU_CHANGED_FACTS, "LinkSpeedMax" },
        { GPU_CHANGED_FACTS, "LinkWidth" },
        { GPU_CHANGED_FACTS, "LinkWidthMax" },
        { GPU_CHANGED_FACTS, "TotalVfs" },
        { GPU_CHANGED_FACTS, "EnabledVfs" },
        { GPU_CHANGED_FACTS, "Parents" },
        { GPU_CHANGED_BACK_END, "BackEnd" },
        { GPU_CHANGED_STATE, "State" },
        { GPU_CHANGED_STATE, "Reason" },
        { GPU_CHANGED_STATE, "Stale" },
        { GPU_CHANGED_TYPES, "Types" },
        { GPU_CHANGED_JOB, "Job" },
        { GPU_CHANGED_JOB, "QueuedJobs" },
        { GPU_CHANGED_MODES, "Modes" },
        { GPU_CHANGED_FACTS | GPU_CHANGED_VFS | BUS_GPU_CHANGED_OCCUPANCY, "Vfs" },
        /* Never ScannedUsec (GPU_CHANGED_SCANNED): it would wake all clients after each scan. */
};

char **bus_gpu_properties(unsigned changes)
{
        return bus_changed_properties(gpu_changes, G_N_ELEMENTS(gpu_changes), changes);
}

const sd_bus_vtable bus_gpu_vtable[] = {
        SD_BUS_VTABLE_START(0),
        BUS_PROPERTY_CONST("Name", "s", property_get_name),
        BUS_PROPERTY_CONST("SysfsPath", "s", property_get_sysfs_path),
        BUS_PROPERTY_CONST("Subsystem", "s", property_get_subsystem),
        BUS_PROPERTY_CONST("VendorId", "q", property_get_vendor_id),
        BUS_PROPERTY_CONST("DeviceId", "q", property_get_device_id),
        BUS_PROPERTY_CONST("SubsystemVendorId", "q", property_get_subsystem_vendor_id),
        BUS_PROPERTY_CONST("SubsystemDeviceId", "q", property_get_subsystem_device_id),
        BUS_PROPERTY_CONST("Class", "u", property_get_class),
        BUS_PROPERTY_CHANGES("VendorName", "s", property_get_vendor_name),
        BUS_PROPERTY_CHANGES("DeviceName", "s", property_get_device_name),
        BUS_PROPERTY_CHANGES("Driver", "s", property_get_driver),
        BUS_PROPERTY_CHANGES("BackEnd", "s", property_get_back_end),
        BUS_PROPERTY_CHANGES("State", "s", property_get_state),
        BUS_PROPERTY_CHANGES("Reason", "s", property_get_reason),
        BUS_PROPERTY_CHANGES("Stale", "b", property_get_stale),
        BUS_PROPERTY_CHANGES("NumaNode", "i", property_get_numa_node),
        BUS_PROPERTY_CHANGES("IommuGroup", "i", property_get_iommu_group),
        BUS_PROPERTY_CHANGES("LinkSpeed", "s", property_get_link_speed),
        BUS_PROPERTY_CHANGES("LinkSpeedMax", "s", property_get_link_speed_max),
        BUS_PROPERTY_CHANGES("LinkWidth", "u", property_get_link_width),
        BUS_PROPERTY_CHANGES("LinkWidthMax", "u", property_get_link_width_max),
        BUS_PROPERTY_CONST("BootDisplay", "b", property_get_boot_display),
        BUS_PROPERTY_CHANGES("TotalVfs", "u", property_get_total_vfs),
        BUS_PROPERTY_CHANGES("EnabledVfs", "u", property_get_enabled_vfs),
        BUS_PROPERTY_CHANGES("Vfs", "a(usoss)", property_get_vfs),
        BUS_PROPERTY_CHANGES("Parents", "as", property_get_parents),
        BUS_PROPERTY_CHANGES("Types", "a{sa{sv}}", property_get_types),
        BUS_PROPERTY_CHANGES("Modes", "a{sa{sv}}", property_get_modes),
        BUS_PROPERTY_CHANGES("Job", "o", property_get_job),
        BUS_PROPERTY_CHANGES("QueuedJobs", "u", property_get_queued_jobs),
        BUS_PROPERTY("ScannedUsec", "t", property_get_scanned_usec),
        SD_BUS_METHOD_WITH_ARGS("SetVfs", SD_BUS_ARGS("u", count, "a{sv}", options), SD_BUS_RESULT("o", job),
                                method_set_vfs, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Configure", SD_BUS_ARGS("s", mode, "s", value, "a{sv}", options),
                                SD_BUS_RESULT("o", job), method_configure, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Rescan", SD_BUS_ARGS("a{sv}", options), SD_BUS_RESULT("o", job), method_rescan,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END,
};
