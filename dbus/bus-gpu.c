/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "dbus/bus-gpu.h"

#include <inttypes.h>
#include <string.h>

#include "daemon/model/events.h"
#include "daemon/model/gpu.h"
#include "daemon/model/instance.h"
#include "daemon/model/keep.h"
#include "daemon/model/model.h"
#include "daemon/requests/find.h"
#include "daemon/requests/gpu.h"
#include "daemon/store/gpu-settings.h"
#include "daemon/work/job.h"
#include "dbus/bus-announce.h"
#include "dbus/bus-authz.h"
#include "dbus/bus-instance.h"
#include "dbus/bus-request.h"
#include "dbus/bus-types.h"
#include "dbus/message/bus-error.h"
#include "dbus/message/bus-util.h"

BUS_DEFINE_TEXT_GETTER(property_get_name, Gpu, gpu, gpu_name(gpu))
BUS_DEFINE_TEXT_GETTER(property_get_subsystem, Gpu, gpu, gpu->facts->subsystem)
BUS_DEFINE_GETTER(property_get_vendor_id, Gpu, gpu, "q", gpu->facts->vendor)
BUS_DEFINE_GETTER(property_get_device_id, Gpu, gpu, "q", gpu->facts->device)
BUS_DEFINE_GETTER(property_get_subsystem_vendor_id, Gpu, gpu, "q", gpu->facts->subsystem_vendor)
BUS_DEFINE_GETTER(property_get_subsystem_device_id, Gpu, gpu, "q", gpu->facts->subsystem_device)
BUS_DEFINE_GETTER(property_get_class, Gpu, gpu, "u", gpu->facts->class)
BUS_DEFINE_SHORT_TEXT_GETTER(property_get_vendor_name, Gpu, gpu, gpu->facts->vendor_name, 128)
BUS_DEFINE_SHORT_TEXT_GETTER(property_get_device_name, Gpu, gpu, gpu->facts->device_name, 128)
BUS_DEFINE_SHORT_TEXT_GETTER(property_get_driver, Gpu, gpu, gpu->facts->driver, 128)
BUS_DEFINE_TEXT_GETTER(property_get_back_end, Gpu, gpu, gpu->driver ? gpu->driver->name : NULL)
BUS_DEFINE_TEXT_GETTER(property_get_state, Gpu, gpu, gpu_state_to_string(gpu->state))
BUS_DEFINE_SHORT_TEXT_GETTER(property_get_reason, Gpu, gpu, gpu->reason, GPU_REASON_MAX)
BUS_DEFINE_SHORT_TEXT_GETTER(property_get_hint, Gpu, gpu, gpu->hint.text, GPU_REASON_MAX)
BUS_DEFINE_TEXT_GETTER(property_get_hint_id, Gpu, gpu, vgpud_hint_id_to_string(gpu->hint.id))
BUS_DEFINE_GETTER(property_get_stale, Gpu, gpu, "b", gpu_is_stale(gpu))
BUS_DEFINE_GETTER(property_get_numa_node, Gpu, gpu, "i", gpu->facts->numa_node)
BUS_DEFINE_GETTER(property_get_iommu_group, Gpu, gpu, "i", gpu->facts->iommu_group)
BUS_DEFINE_SHORT_TEXT_GETTER(property_get_link_speed, Gpu, gpu, gpu->facts->link_speed, 128)
BUS_DEFINE_SHORT_TEXT_GETTER(property_get_link_speed_max, Gpu, gpu, gpu->facts->link_speed_max, 128)
BUS_DEFINE_GETTER(property_get_link_width, Gpu, gpu, "u", gpu->facts->link_width)
BUS_DEFINE_GETTER(property_get_link_width_max, Gpu, gpu, "u", gpu->facts->link_width_max)
BUS_DEFINE_GETTER(property_get_boot_display, Gpu, gpu, "b", gpu->facts->boot_display)
BUS_DEFINE_GETTER(property_get_total_vfs, Gpu, gpu, "u", gpu->facts->total_vfs)
BUS_DEFINE_GETTER(property_get_enabled_vfs, Gpu, gpu, "u", gpu->facts->enabled_vfs)
BUS_DEFINE_GETTER(property_get_instance_count, Gpu, gpu, "u", bus_gpu_instance_count(gpu))
BUS_DEFINE_GETTER(property_get_type_count, Gpu, gpu, "u", bus_gpu_type_count(gpu))
BUS_DEFINE_GETTER(property_get_memory_bytes, Gpu, gpu, "t", bus_gpu_memory_bytes(gpu))
BUS_DEFINE_GETTER(property_get_memory_used_bytes, Gpu, gpu, "t", bus_gpu_memory_used_bytes(gpu))
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

/* The parents are the devices with mediated types. A GPU that has a back end but no such devices has its VFs
 * as parents. If such a GPU does not support VFs and is prepared, the GPU is its own parent. */
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

static const VgpuVf *gpu_vf_of(const GHashTable *vfs, const Instance *instance)
{
        const InstanceDesc *d = instance->desc;
        const VgpuVf *vf = d->slot ? g_hash_table_lookup((GHashTable *)vfs, d->slot) : NULL;

        return vf || !d->parent ? vf : g_hash_table_lookup((GHashTable *)vfs, d->parent);
}

/* Make a table VF -> Instance on this VF. If a VF has several instances, the table has the instance with the
 * lowest UUID. */
static GHashTable *gpu_occupancy(const Gpu *gpu)
{
        GHashTable *table = g_hash_table_new(NULL, NULL);
        g_autoptr(GHashTable) vfs = g_hash_table_new(g_str_hash, g_str_equal);
        GHashTableIter i;
        void *value;

        for (guint n = 0; gpu->facts->vfs && n < gpu->facts->vfs->len; n++) {
                VgpuVf *vf = gpu->facts->vfs->pdata[n];

                g_hash_table_insert(vfs, vf->name, vf);
        }

        g_hash_table_iter_init(&i, gpu->instances);

        while (g_hash_table_iter_next(&i, NULL, &value)) {
                const VgpuVf *vf = gpu_vf_of(vfs, value);
                const Instance *other = vf ? g_hash_table_lookup(table, vf) : NULL;

                if (vf && (!other || strcmp(((const Instance *)value)->desc->uuid, other->desc->uuid) < 0))
                        g_hash_table_insert(table, (void *)vf, value);
        }

        return table;
}

/* Make a table name of a VF -> VgpuVfBinding. */
static GHashTable *gpu_bindings(const Gpu *gpu)
{
        GHashTable *table = g_hash_table_new(g_str_hash, g_str_equal);

        for (guint i = 0; gpu->snapshot && i < gpu->snapshot->bindings->len; i++) {
                VgpuVfBinding *b = gpu->snapshot->bindings->pdata[i];

                g_hash_table_insert(table, b->name, b);
        }

        return table;
}

static void vf_destroy(gpointer p)
{
        BusVf *vf = p;

        g_free(vf->name);
        g_free(vf->instance);
        g_free(vf->driver);
        g_free(vf->driver_override);
        g_free(vf);
}

static char *vf_text(const char *text)
{
        return g_utf8_make_valid(text ? text : "", -1);
}

GPtrArray *bus_gpu_vfs(const Gpu *gpu)
{
        const GPtrArray *vfs = gpu->facts->vfs;
        GPtrArray *rows = g_ptr_array_new_with_free_func(vf_destroy);
        g_autoptr(GHashTable) instances = gpu_occupancy(gpu), bindings = gpu_bindings(gpu);

        for (guint i = 0; vfs && i < vfs->len; i++) {
                const VgpuVf *vf = vfs->pdata[i];
                const Instance *instance = g_hash_table_lookup(instances, vf);
                const VgpuVfBinding *b = g_hash_table_lookup(bindings, vf->name);
                BusVf *row = g_new(BusVf, 1);

                *row = (BusVf){
                        .index = vf->index,
                        .name = vf_text(vf->name),
                        .instance = instance ? bus_instance_path(instance) : g_strdup("/"),
                        .driver = vf_text(b ? b->driver : NULL),
                        .driver_override = vf_text(b ? b->override : NULL),
                        .state = b && b->bound_free ? "bound-free" : "",
                };
                g_ptr_array_add(rows, row);
        }

        return rows;
}

BUS_DEFINE_COLUMN(vf_append_index, BusVf, vf, "u", vf->index)
BUS_DEFINE_STRING_COLUMN(vf_append_name, BusVf, vf, "s", vf->name)
BUS_DEFINE_STRING_COLUMN(vf_append_instance, BusVf, vf, "o", vf->instance)
BUS_DEFINE_STRING_COLUMN(vf_append_driver, BusVf, vf, "s", vf->driver)
BUS_DEFINE_STRING_COLUMN(vf_append_driver_override, BusVf, vf, "s", vf->driver_override)
BUS_DEFINE_STRING_COLUMN(vf_append_state, BusVf, vf, "s", vf->state)

static const BusColumn vf_columns[] = {
        { "index", "u", vf_append_index },
        { "name", "s", vf_append_name },
        { "instance", "o", vf_append_instance },
        { "driver", "s", vf_append_driver },
        { "driver_override", "s", vf_append_driver_override },
        { "state", "s", vf_append_state },
};

/* ---- memory and counts ---- */

uint32_t bus_gpu_instance_count(const Gpu *gpu)
{
        return g_hash_table_size(gpu->instances);
}

uint32_t bus_gpu_type_count(const Gpu *gpu)
{
        return gpu->snapshot ? gpu->snapshot->types->len : 0;
}

uint64_t bus_gpu_memory_bytes(const Gpu *gpu)
{
        uint64_t bytes = gpu->snapshot && gpu->snapshot->memory_bytes > 0 ? gpu->snapshot->memory_bytes
                                                                          : gpu->facts->memory_bytes;

        return bytes > 0 ? bytes : UINT64_MAX;
}

uint64_t bus_gpu_memory_used_bytes(const Gpu *gpu)
{
        GHashTableIter i;
        uint64_t sum = 0;
        void *instance;

        g_hash_table_iter_init(&i, gpu->instances);

        while (g_hash_table_iter_next(&i, NULL, &instance)) {
                uint64_t bytes = bus_instance_memory_bytes(instance);

                if (bytes == UINT64_MAX)
                        return UINT64_MAX;

                sum += bytes;
        }

        return sum;
}

char *bus_gpu_path(const void *gpu)
{
        return bus_path_gpu(gpu_name(gpu));
}

/* ---- modes and kept settings ---- */

static int property_get_modes(sd_bus *bus, const char *path, const char *interface, const char *property,
                              sd_bus_message *reply, void *userdata, sd_bus_error *ret_error)
{
        return bus_types_append_modes(reply, userdata);
}

static int32_t gpu_kept_vfs(const Gpu *gpu)
{
        const GpuSettings *s = keep_get(gpu);

        return s && s->vfs > 0 ? (int32_t)s->vfs : -1;
}

static int property_get_kept_modes(sd_bus *bus, const char *path, const char *interface, const char *property,
                                   sd_bus_message *reply, void *userdata, sd_bus_error *ret_error)
{
        const GpuSettings *s = keep_get(userdata);
        int r;

        r = sd_bus_message_open_container(reply, 'a', "{ss}");
        for (guint i = 0; r >= 0 && s && i < s->modes->len; i++) {
                const VgpuAttribute *mode = s->modes->pdata[i];

                r = sd_bus_message_append(reply, "{ss}", mode->name, mode->value);
        }

        return r < 0 ? r : sd_bus_message_close_container(reply);
}

BUS_DEFINE_GETTER(property_get_kept_vfs, Gpu, gpu, "i", gpu_kept_vfs(gpu))
BUS_DEFINE_SHORT_TEXT_GETTER(property_get_kept_reason, Gpu, gpu, gpu->kept.waiting.message, GPU_REASON_MAX)

/* ---- methods ---- */

static int method_list_types(sd_bus_message *call, void *userdata, sd_bus_error *ret_error)
{
        Gpu *gpu = userdata;
        g_autoptr(GPtrArray) gpus = g_ptr_array_new();
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;
        int r;

        r = bus_read_options(call, NULL, 0, &e);
        if (r < 0)
                return bus_error_answer(call, r, &e, ret_error);

        g_ptr_array_add(gpus, gpu);
        r = sd_bus_message_new_method_return(call, &reply);
        if (r >= 0)
                r = bus_types_append(reply, gpus);

        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

static int method_list_vfs(sd_bus_message *call, void *userdata, sd_bus_error *ret_error)
{
        g_autoptr(GPtrArray) vfs = bus_gpu_vfs(userdata);
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;
        int r;

        r = bus_read_options(call, NULL, 0, &e);
        if (r < 0)
                return bus_error_answer(call, r, &e, ret_error);

        r = sd_bus_message_new_method_return(call, &reply);
        if (r >= 0)
                r = bus_append_table(reply, vf_columns, G_N_ELEMENTS(vf_columns), vfs);

        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

/* A request for a job on a GPU. */
typedef struct GpuArguments {
        Gpu *gpu;
        uint32_t count;           /* SetVfs */
        const char *mode, *value; /* Configure */
        bool keep;                /* SetVfs, Configure */
} GpuArguments;

/* Ask polkit one question, then queue the job. */
static int gpu_run(sd_bus_message *call, GpuArguments *a, BusRequest *request, PolkitAction action,
                   const char *const *details, sd_bus_error *ret_error)
{
        const BusAuthzQuestion question = { action, details };

        request->questions = &question;
        request->n_questions = 1;
        request->arguments = a;

        return bus_request_run(bus_of_call(call), call, request, ret_error);
}

static int rescan_queue(void *arguments, uid_t requester, GPtrArray *ret_jobs, VgpudError *reterr)
{
        const GpuArguments *a = arguments;
        Job *job;
        int r;

        r = request_rescan(a->gpu, requester, &job, reterr);
        if (r >= 0)
                g_ptr_array_add(ret_jobs, job);

        return r;
}

static int method_rescan(sd_bus_message *call, void *userdata, sd_bus_error *ret_error)
{
        GpuArguments a = { .gpu = userdata };
        BusRequest request = { .queue = rescan_queue };
        const BusOption options[] = {
                BUS_WAIT_OPTIONS(request.wait),
        };
        _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;
        int r;

        r = bus_request_identify(bus_of_call(call), call, &request.requester, ret_error);
        if (r != 0)
                return r;

        r = bus_read_options(call, options, G_N_ELEMENTS(options), &e);
        if (r < 0)
                return bus_error_answer(call, r, &e, ret_error);

        const char *details[] = { "gpu", gpu_name(a.gpu), NULL };

        return gpu_run(call, &a, &request, POLKIT_RESCAN, details, ret_error);
}

static int set_vfs_check(const void *arguments, VgpudError *reterr)
{
        const GpuArguments *a = arguments;

        return request_check_set_vfs(a->gpu, a->count, reterr);
}

static int set_vfs_queue(void *arguments, uid_t requester, GPtrArray *ret_jobs, VgpudError *reterr)
{
        const GpuArguments *a = arguments;
        Job *job;
        int r;

        r = request_set_vfs(a->gpu, a->count, a->keep, requester, &job, reterr);
        if (r >= 0)
                g_ptr_array_add(ret_jobs, job);

        return r;
}

static int method_set_vfs(sd_bus_message *call, void *userdata, sd_bus_error *ret_error)
{
        GpuArguments a = { .gpu = userdata };
        BusRequest request = { .check = set_vfs_check, .queue = set_vfs_queue };
        const BusOption options[] = {
                { "keep", "b", &a.keep },
                BUS_WAIT_OPTIONS(request.wait),
        };
        _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;
        g_autofree char *count = NULL, *before = NULL;
        int r;

        r = bus_request_identify(bus_of_call(call), call, &request.requester, ret_error);
        if (r != 0)
                return r;

        r = sd_bus_message_read(call, "u", &a.count);
        if (r >= 0)
                r = bus_read_options(call, options, G_N_ELEMENTS(options), &e);
        if (r < 0)
                return bus_error_answer(call, r, &e, ret_error);

        count = g_strdup_printf("%" PRIu32, a.count);
        before = g_strdup_printf("%" PRIu32, a.gpu->facts->enabled_vfs);
        const char *details[] = { "gpu",  gpu_name(a.gpu),       "count", count, "before", before,
                                  "keep", a.keep ? "yes" : "no", NULL };

        return gpu_run(call, &a, &request, POLKIT_SET_VFS, details, ret_error);
}

/* The check also keeps arbitrary texts of the caller out of the password dialogue. */
static int configure_check(const void *arguments, VgpudError *reterr)
{
        const GpuArguments *a = arguments;

        return request_check_configure(a->gpu, a->mode, a->value, reterr);
}

static int configure_queue(void *arguments, uid_t requester, GPtrArray *ret_jobs, VgpudError *reterr)
{
        const GpuArguments *a = arguments;
        Job *job;
        int r;

        r = request_configure(a->gpu, a->mode, a->value, a->keep, requester, &job, reterr);
        if (r >= 0)
                g_ptr_array_add(ret_jobs, job);

        return r;
}

/* The present value, as the property Modes shows it; "": unknown. */
static char *gpu_mode_value(const Gpu *gpu, const char *name)
{
        const GPtrArray *modes = gpu->snapshot ? gpu->snapshot->modes : NULL;

        for (guint i = 0; modes && i < modes->len; i++) {
                const VgpuMode *mode = modes->pdata[i];

                if (strcmp(mode->name, name) == 0 && mode->value)
                        return bus_error_cut(mode->value, BUS_SHORT_TEXT_MAX);
        }

        return g_strdup("");
}

static int method_configure(sd_bus_message *call, void *userdata, sd_bus_error *ret_error)
{
        GpuArguments a = { .gpu = userdata };
        BusRequest request = { .check = configure_check, .queue = configure_queue };
        const BusOption options[] = {
                { "keep", "b", &a.keep },
                BUS_WAIT_OPTIONS(request.wait),
        };
        _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;
        g_autofree char *before = NULL;
        int r;

        r = bus_request_identify(bus_of_call(call), call, &request.requester, ret_error);
        if (r != 0)
                return r;

        r = bus_read_text(call, "mode", BUS_MAX_MODE, &a.mode, &e);
        if (r >= 0)
                r = bus_read_text(call, "value", BUS_MAX_VALUE, &a.value, &e);
        if (r >= 0)
                r = bus_read_options(call, options, G_N_ELEMENTS(options), &e);
        if (r < 0)
                return bus_error_answer(call, r, &e, ret_error);

        before = gpu_mode_value(a.gpu, a.mode);
        const char *details[] = { "gpu",   gpu_name(a.gpu), "mode", a.mode, "value",
                                  a.value, "before",        before, "keep", a.keep ? "yes" : "no",
                                  NULL };

        return gpu_run(call, &a, &request, POLKIT_CONFIGURE, details, ret_error);
}

/* ---- ForgetSettings ---- */

/* Ask polkit about a forgotten setting as about a change of the setting. */
static int forget_ask(sd_bus_message *call, const char *name, bool vfs, const char *mode, uid_t uid,
                      VgpudError *reterr)
{
        const Gpu *gpu = model_get_gpu(bus_of_call(call)->model, name);
        g_autofree char *count = gpu ? g_strdup_printf("%" PRIu32, gpu->facts->enabled_vfs) : g_strdup("");
        g_autofree char *value = gpu ? gpu_mode_value(gpu, mode ? mode : "") : g_strdup("");
        const char *vfs_details[] = { "gpu", name, "count", count, "before", count, "keep", "forget", NULL };
        const char *mode_details[] = { "gpu",    name,  "mode", mode ? mode : "", "value", value,
                                       "before", value, "keep", "forget",         NULL };
        const BusAuthzQuestion questions[] = { { POLKIT_SET_VFS, vfs_details },
                                               { POLKIT_CONFIGURE, mode_details } };
        bool asks_vfs = vfs || !mode, asks_mode = mode || !vfs;

        return bus_authz_check(bus_of_call(call)->authz, call, uid, questions + !asks_vfs, asks_vfs + asks_mode,
                               reterr);
}

int bus_method_forget_settings(sd_bus_message *call, void *userdata, sd_bus_error *ret_error)
{
        Bus *b = userdata;
        const char *word, *mode = NULL;
        bool vfs = false;
        const BusOption options[] = {
                { "vfs", "b", &vfs },
                { "mode", "s", &mode, 0, BUS_MAX_MODE },
        };
        _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;
        g_autofree char *from_path = NULL, *gpu = NULL;
        uid_t uid;
        int r;

        r = bus_request_identify(b, call, &uid, ret_error);
        if (r != 0)
                return r;

        r = bus_read_text(call, "gpu", BUS_MAX_GPU, &word, &e);
        if (r >= 0)
                r = bus_read_options(call, options, G_N_ELEMENTS(options), &e);
        if (r >= 0)
                r = bus_read_gpu_word(&word, &from_path, &e);
        if (r >= 0)
                r = request_get_kept_gpu(b->model, word, &gpu, &e);
        if (r >= 0)
                r = keep_check_forget(b->model, gpu, vfs, mode, &e);
        if (r >= 0)
                r = forget_ask(call, gpu, vfs, mode, uid, &e);
        if (r == 0)
                return 1;
        if (r > 0)
                r = keep_forget(b->model, gpu, vfs, mode, uid, &e);
        if (r < 0)
                return bus_error_answer(call, r, &e, ret_error);

        bus_announce_flush(b);

        return sd_bus_reply_method_return(call, NULL);
}

/* ---- the interface ---- */

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
        { GPU_CHANGED_STATE, "Hint" },
        { GPU_CHANGED_STATE, "HintId" },
        { GPU_CHANGED_STATE, "Stale" },
        { GPU_CHANGED_MODES, "Modes" },
        { GPU_CHANGED_KEPT, "KeptVfs" },
        { GPU_CHANGED_KEPT, "KeptModes" },
        { GPU_CHANGED_KEPT, "KeptReason" },
        { BUS_GPU_CHANGED_MEMORY, "MemoryBytes" },
        { BUS_GPU_CHANGED_MEMORY_USED, "MemoryUsedBytes" },
        { BUS_GPU_CHANGED_INSTANCE_COUNT, "InstanceCount" },
        { BUS_GPU_CHANGED_TYPE_COUNT, "TypeCount" },
        /* ScannedUsec (GPU_CHANGED_SCANNED) is missing: it would wake all clients after each scan. Job and
         * QueuedJobs (GPU_CHANGED_JOB) are missing: the objects of the jobs name the GPU. */
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
        BUS_PROPERTY_CHANGES("Hint", "s", property_get_hint),
        BUS_PROPERTY_CHANGES("HintId", "s", property_get_hint_id),
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
        BUS_PROPERTY_CHANGES("MemoryBytes", "t", property_get_memory_bytes),
        BUS_PROPERTY_CHANGES("MemoryUsedBytes", "t", property_get_memory_used_bytes),
        BUS_PROPERTY_CHANGES("InstanceCount", "u", property_get_instance_count),
        BUS_PROPERTY_CHANGES("TypeCount", "u", property_get_type_count),
        BUS_PROPERTY_INVALIDATED("Parents", "as", property_get_parents),
        BUS_PROPERTY_CHANGES("Modes", "a{sa{sv}}", property_get_modes),
        BUS_PROPERTY_CHANGES("KeptVfs", "i", property_get_kept_vfs),
        BUS_PROPERTY_CHANGES("KeptModes", "a{ss}", property_get_kept_modes),
        BUS_PROPERTY_CHANGES("KeptReason", "s", property_get_kept_reason),
        BUS_PROPERTY("Job", "o", property_get_job),
        BUS_PROPERTY("QueuedJobs", "u", property_get_queued_jobs),
        BUS_PROPERTY("ScannedUsec", "t", property_get_scanned_usec),
        SD_BUS_METHOD_WITH_ARGS("ListTypes", SD_BUS_ARGS("a{sv}", options), SD_BUS_RESULT("a{sv}", types),
                                method_list_types, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("ListVfs", SD_BUS_ARGS("a{sv}", options), SD_BUS_RESULT("a{sv}", vfs),
                                method_list_vfs, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("SetVfs", SD_BUS_ARGS("u", count, "a{sv}", options), SD_BUS_RESULT("o", job),
                                method_set_vfs, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Configure", SD_BUS_ARGS("s", mode, "s", value, "a{sv}", options),
                                SD_BUS_RESULT("o", job), method_configure, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Rescan", SD_BUS_ARGS("a{sv}", options), SD_BUS_RESULT("o", job), method_rescan,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_SIGNAL_WITH_ARGS("TypesChanged", SD_BUS_ARGS("b", list_changed, "a{sv}", types), 0),
        SD_BUS_SIGNAL_WITH_ARGS("VfsChanged", SD_BUS_ARGS("b", list_changed, "a{sv}", vfs), 0),
        SD_BUS_VTABLE_END,
};

int bus_gpu_append_table(sd_bus_message *m, Model *model, const GPtrArray *columns)
{
        static const char *const except[] = { "Parents", "Modes", "KeptModes", NULL };
        g_autoptr(GPtrArray) gpus = g_ptr_array_new();
        GHashTableIter iter;
        void *gpu;

        g_hash_table_iter_init(&iter, model_gpus(model));

        while (g_hash_table_iter_next(&iter, NULL, &gpu))
                g_ptr_array_add(gpus, gpu);

        return bus_append_object_table(m, bus_gpu_vtable, except, bus_gpu_path, gpus, columns);
}
