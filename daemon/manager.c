/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "daemon/manager.h"

#include <inttypes.h>
#include <string.h>
#include <systemd/sd-id128.h>
#include <time.h>

#include "base/fs-util.h"
#include "base/log.h"
#include "daemon/manager-private.h"

#define CREATE_COUNT_MAX 1024

static const ManagerEvents no_events;

DEFINE_DESTROY_NOTIFY(attribute_destroy, vgpu_attribute_free)

uint64_t manager_now_realtime(void)
{
        struct timespec t;

        (void)clock_gettime(CLOCK_REALTIME, &t);
        return (uint64_t)t.tv_sec * USEC_PER_SEC + (uint64_t)t.tv_nsec / 1000;
}

/* ---- life ---- */

Manager *manager_new(sd_event *event, const Config *config, LaneIoFactory factory, void *factory_userdata)
{
        Manager *m = g_new0(Manager, 1);

        sd_id128_t boot_id;

        *m = (Manager){
                .event = sd_event_ref(event),
                .config = config,
                .factory = factory,
                .factory_userdata = factory_userdata,
                .runtime_fd = -EBADF,
                .gpus = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL),
                .instances = g_hash_table_new(g_str_hash, g_str_equal),
                .jobs = g_hash_table_new(g_direct_hash, g_direct_equal),
                .events = &no_events,
        };
        /* Fails only without /proc, where nothing of all this works. */
        if (sd_id128_get_boot(&boot_id) >= 0)
                sd_id128_to_uuid_string(boot_id, m->boot_id);
        return m;
}

void manager_set_events(Manager *m, const ManagerEvents *events, void *userdata)
{
        m->events = events ? events : &no_events;
        m->events_userdata = userdata;
}

int manager_open(Manager *m)
{
        int r;

        m->runtime_fd = fs_open_directory(m->config->runtime_directory, 0755);
        if (m->runtime_fd < 0)
                return log_error_errno(m->runtime_fd, "Cannot open %s: %m", m->config->runtime_directory);
        r = records_open(m->runtime_fd, &m->records);
        if (r < 0)
                return log_error_errno(r, "Cannot read the records in %s: %m", m->config->runtime_directory);
        m->known_types = known_types_new(m->config->state_directory);
        _cleanup_close_ int lane_fd = fs_open_directory_at(m->runtime_fd, "lane", 0700);
        if (lane_fd < 0)
                return log_error_errno(lane_fd, "Cannot open %s/lane: %m", m->config->runtime_directory);
        r = lanes_new(m->event, lane_fd, m->factory, m->factory_userdata, &m->lanes);
        if (r < 0)
                return log_error_errno(r, "Cannot make the lanes: %m");
        return 0;
}

static int on_start_timeout(sd_event_source *source, uint64_t usec, void *userdata)
{
        Manager *m = userdata;
        void (*ready)(Manager *, void *) = g_steal_pointer(&m->ready);
        GHashTableIter iter;
        Gpu *gpu;

        m->start_timer = sd_event_source_disable_unref(m->start_timer);
        log_warning("Not all GPUs have answered in time, going on without them");
        g_hash_table_iter_init(&iter, m->gpus);
        while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&gpu))
                if (gpu->state == GPU_NEW)
                        gpu_set_state(gpu, GPU_STUCK,
                                      "it has not answered since vgpud was started; what an earlier vgpud was "
                                      "doing to it may still be under way in the kernel");
        if (ready)
                ready(m, m->ready_userdata);
        return 0;
}

int manager_start(Manager *m, void (*ready)(Manager *m, void *userdata), void *userdata)
{
        int r;

        r = manager_open(m);
        if (r < 0)
                return r;
        m->ready = ready;
        m->ready_userdata = userdata;
        r = sd_event_add_time_relative(m->event, &m->start_timer, CLOCK_MONOTONIC,
                                       m->config->start_timeout_usec, 10 * USEC_PER_MSEC, on_start_timeout, m);
        if (r < 0)
                return log_error_errno(r, "Cannot set a timer: %m");
        return inventory_start(m, &m->inventory);
}

void manager_check_ready(Manager *m)
{
        GHashTableIter iter;
        Gpu *gpu;

        if (!m->ready || !m->inventory_known)
                return;
        g_hash_table_iter_init(&iter, m->gpus);
        while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&gpu))
                if (gpu->state == GPU_NEW)
                        return;
        m->start_timer = sd_event_source_disable_unref(m->start_timer);
        g_steal_pointer (&m->ready)(m, m->ready_userdata);
}

void manager_stop(Manager *m, uint64_t timeout_usec)
{
        bool busy = inventory_is_busy(m->inventory);
        GHashTableIter iter;
        Gpu *gpu;
        Job *job;

        m->stopping = true;
        m->ready = NULL;
        m->start_timer = sd_event_source_disable_unref(m->start_timer);
        inventory_stop(m->inventory);

        g_hash_table_iter_init(&iter, m->gpus);
        while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&gpu)) {
                if (gpu->lane)
                        gpu_cancel_waiting(gpu, VGPUD_ERROR_CANCELED, "the daemon stops");
                busy |= gpu_is_busy(gpu);
        }
        if (m->lanes) {
                unsigned left = lanes_stop(m->lanes, busy ? timeout_usec : 0);
                if (left > 0)
                        log_warning("Leaving %u operations to the kernel that have not come back from it",
                                    left);
        }
        g_hash_table_iter_init(&iter, m->jobs);
        while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&job))
                job_abandon(job, "the daemon stops, and the kernel has not come back: what was asked for may "
                                 "still happen");
}

Manager *manager_free(Manager *m)
{
        GHashTableIter iter;
        Gpu *gpu;

        if (!m)
                return NULL;
        m->stopping = true;
        m->events = &no_events;
        sd_event_source_disable_unref(m->start_timer);
        m->inventory = inventory_free(m->inventory);
        g_hash_table_iter_init(&iter, m->gpus);
        while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&gpu)) {
                gpu_withdraw(gpu);
                g_hash_table_iter_remove(&iter);
                gpu_free(gpu);
        }
        /* Jobs that are left belong to threads that have not come back. */
        m->lanes = lanes_free(m->lanes);
        m->records = records_free(m->records);
        m->known_types = known_types_free(m->known_types);
        safe_close(m->runtime_fd);
        g_hash_table_unref(m->gpus);
        g_hash_table_unref(m->instances);
        g_hash_table_unref(m->jobs);
        sd_event_unref(m->event);
        g_free(m);
        return NULL;
}

sd_event *manager_event(Manager *m)
{
        return m->event;
}

const Config *manager_config(Manager *m)
{
        return m->config;
}

/* ---- discovery ---- */

/* Whether it is still the device of which clients were told once and for all what it is: another one may have
 * been put in its place between two looks. */
static bool same_device(const GpuFacts *a, const GpuFacts *b)
{
        return strcmp(a->path, b->path) == 0 && strcmp(a->subsystem, b->subsystem) == 0 &&
               a->vendor == b->vendor && a->device == b->device && a->subsystem_vendor == b->subsystem_vendor &&
               a->subsystem_device == b->subsystem_device && a->class == b->class &&
               a->boot_display == b->boot_display;
}

/* No driver, no instances: what there is a record of went with it, perhaps while no daemon was running or
 * before a scan had seen it. What a job is making is left to the job. */
static void forget_instances_without_driver(Manager *m, uint64_t began_usec)
{
        g_autoptr(GPtrArray) uuids = records_of_gpu(m->records, NULL);

        for (guint i = 0; i < uuids->len; i++) {
                const Record *record = records_get(m->records, uuids->pdata[i]);
                const Gpu *gpu = manager_get_gpu(m, record->gpu);
                if ((gpu && gpu->driver) || (!record->made && !record->interrupted))
                        continue;
                /* What was made since the looking began was made by a driver. */
                if (record->written_usec > began_usec)
                        inventory_request(m->inventory);
                else
                        records_forget(m->records, uuids->pdata[i]);
        }
}

void manager_apply_inventory(Manager *m, const GPtrArray *facts, uint64_t began_usec)
{
        g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
        g_autoptr(GList) all = NULL;

        for (guint i = 0; i < facts->len; i++)
                g_hash_table_insert(seen, ((const GpuFacts *)facts->pdata[i])->name, facts->pdata[i]);
        all = g_hash_table_get_values(m->gpus);
        for (GList *l = all; l; l = l->next) {
                Gpu *gpu = l->data;
                const GpuFacts *now = g_hash_table_lookup(seen, gpu_name(gpu));
                if (now && (same_device(gpu->facts, now) || gpu_has_answered_since(gpu, now->began_usec)))
                        continue;
                if (!now && gpu_has_answered_since(gpu, began_usec)) {
                        inventory_request(m->inventory);
                        continue;
                }
                log_info("GPU %s went away", gpu_name(gpu));
                gpu_withdraw(gpu);
                MANAGER_EMIT(m, gpu_removed, gpu);
                g_hash_table_remove(m->gpus, gpu_name(gpu));
                gpu_free(gpu);
        }
        for (guint i = 0; i < facts->len; i++) {
                const GpuFacts *f = facts->pdata[i];
                Gpu *gpu = g_hash_table_lookup(m->gpus, f->name);
                if (gpu) {
                        gpu_update_facts(gpu, f);
                        continue;
                }
                gpu = gpu_new(m, f);
                g_hash_table_insert(m->gpus, g_strdup(gpu_name(gpu)), gpu);
                MANAGER_EMIT(m, gpu_added, gpu);
                gpu_start(gpu);
        }
        forget_instances_without_driver(m, began_usec);
        m->inventory_known = true;
        manager_check_ready(m);
}

/* ---- lookups ---- */

GHashTable *manager_gpus(Manager *m)
{
        return m->gpus;
}

GHashTable *manager_jobs(Manager *m)
{
        return m->jobs;
}

GHashTable *manager_instances(Manager *m)
{
        return m->instances;
}

Gpu *manager_get_gpu(Manager *m, const char *name)
{
        return g_hash_table_lookup(m->gpus, name);
}

Instance *manager_get_instance(Manager *m, const char *uuid)
{
        return g_hash_table_lookup(m->instances, uuid);
}

Job *manager_get_job(Manager *m, uint32_t id)
{
        return g_hash_table_lookup(m->jobs, GUINT_TO_POINTER(id));
}

static int compare_names(const void *a, const void *b)
{
        return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The GPUs in the order of their names, so that nothing depends on a hash. */
static GPtrArray *sorted_gpu_names(Manager *m)
{
        GPtrArray *names = g_ptr_array_new();
        GHashTableIter iter;
        gpointer name;

        g_hash_table_iter_init(&iter, m->gpus);
        while (g_hash_table_iter_next(&iter, &name, NULL))
                g_ptr_array_add(names, name);
        g_ptr_array_sort(names, compare_names);
        return names;
}

int manager_find_gpu(Manager *m, const char *what, Gpu **ret, VgpudError *reterr)
{
        g_autoptr(GPtrArray) names = sorted_gpu_names(m);
        const char *found = NULL;

        if (!what[0])
                return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID, "the name of a GPU is empty");
        if (g_hash_table_contains(m->gpus, what)) {
                *ret = manager_get_gpu(m, what);
                return 0;
        }
        for (guint i = 0; i < names->len; i++) {
                const char *name = names->pdata[i];
                if (!g_str_has_prefix(name, what) && !g_str_has_suffix(name, what))
                        continue;
                if (found)
                        return vgpud_error_setf(reterr, VGPUD_ERROR_AMBIGUOUS, "\"%s\" could be GPU %s or %s",
                                                what, found, name);
                found = name;
        }
        if (!found)
                return vgpud_error_setf(reterr, VGPUD_ERROR_NO_SUCH_GPU, "there is no GPU \"%s\"", what);
        *ret = manager_get_gpu(m, found);
        return 0;
}

/* The job that makes it. */
static const Job *find_maker(Manager *m, const char *uuid)
{
        GHashTableIter iter;
        const Job *job;

        g_hash_table_iter_init(&iter, m->jobs);
        while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&job))
                for (guint i = 0; job->kind == JOB_CREATE && i < job->uuids->len; i++)
                        if (strcmp(job->uuids->pdata[i], uuid) == 0)
                                return job;
        return NULL;
}

int manager_find_instance(Manager *m, const char *what, Instance **ret, VgpudError *reterr)
{
        g_autofree char *lower = g_ascii_strdown(what, -1);
        Instance *found = NULL, *instance;
        char uuid[UUID_STRLEN + 1];
        const Record *record;
        const Job *job;
        GHashTableIter iter;

        g_hash_table_iter_init(&iter, m->instances);
        while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&instance)) {
                if (g_strcmp0(instance->name, what) == 0) {
                        *ret = instance;
                        return 0;
                }
                if (!what[0] || !g_str_has_prefix(instance->desc->uuid, lower))
                        continue;
                if (found)
                        return vgpud_error_setf(reterr, VGPUD_ERROR_AMBIGUOUS,
                                                "more than one instance begins with \"%s\": %s and %s", what,
                                                found->desc->uuid, instance->desc->uuid);
                found = instance;
        }
        if (!found) {
                if (!instance_name_is_valid(what) && !uuid_prefix_is_valid(what))
                        return vgpud_error_setf(
                                        reterr, VGPUD_ERROR_INVALID,
                                        "\"%s\" is neither a UUID, nor the beginning of one, nor a name", what);
                record = records_find_name(m->records, what);
                if (!record && uuid_normalize(what, uuid) >= 0)
                        record = records_get(m->records, uuid);
                job = record ? find_maker(m, record->uuid) : NULL;
                if (job)
                        return vgpud_error_setf(reterr, VGPUD_ERROR_NO_SUCH_INSTANCE,
                                                "instance %s is not there yet: job %" PRIu32
                                                " makes it on GPU %s; wait until it is",
                                                record->uuid, job->id, record->gpu);
                if (record)
                        return vgpud_error_setf(reterr, VGPUD_ERROR_GPU_STUCK,
                                                "instance %s is on GPU %s, which has not answered yet",
                                                record->uuid, record->gpu);
                return vgpud_error_setf(reterr, VGPUD_ERROR_NO_SUCH_INSTANCE, "there is no instance \"%s\"",
                                        what);
        }
        *ret = found;
        return 0;
}

/* ---- requests ---- */

/* A GPU can be given work: not stuck, with a back end, looked at at least once. */
static int check_driven(const Gpu *gpu, VgpudError *reterr)
{
        if (!gpu->driver)
                return vgpud_error_setf(reterr, VGPUD_ERROR_UNSUPPORTED, "GPU %s offers no virtual GPUs: %s",
                                        gpu_name(gpu), gpu->reason);
        if (gpu->state == GPU_STUCK)
                return vgpud_error_setf(reterr, VGPUD_ERROR_GPU_STUCK,
                                        "GPU %s takes no work: %s; if it does not come back, only a reset of "
                                        "the GPU or of the host helps",
                                        gpu_name(gpu), gpu->reason);
        if (!gpu->snapshot)
                return vgpud_error_setf(reterr, VGPUD_ERROR_FAILED, "GPU %s could not be looked at yet%s%s",
                                        gpu_name(gpu), gpu->reason ? ": " : "", gpu->reason ? gpu->reason : "");
        return 0;
}

/* It can also be asked for instances. */
int manager_check_gpu(const Gpu *gpu, VgpudError *reterr)
{
        int r = check_driven(gpu, reterr);

        if (r < 0)
                return r;
        if (gpu->state == GPU_UNPREPARED)
                return vgpud_error_setf(reterr, VGPUD_ERROR_UNSUPPORTED,
                                        "GPU %s offers no virtual GPUs yet: %s", gpu_name(gpu), gpu->reason);
        return 0;
}

/* Where a UUID is taken, in words; NULL when it is free. */
static char *find_uuid(Manager *m, const char *uuid)
{
        const Instance *instance = manager_get_instance(m, uuid);
        const Record *record;
        GHashTableIter iter;
        Job *job;

        if (instance)
                return g_strdup_printf(
                                "it is an instance of type %s on GPU %s%s%s",
                                instance->desc->type_id ? instance->desc->type_id : "(not known yet)",
                                gpu_name(instance->gpu),
                                strcmp(instance->desc->parent, gpu_name(instance->gpu)) != 0 ? ", parent " : "",
                                strcmp(instance->desc->parent, gpu_name(instance->gpu)) != 0
                                                ? instance->desc->parent
                                                : "");
        g_hash_table_iter_init(&iter, m->jobs);
        while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&job))
                if (job_makes(job, uuid))
                        return g_strdup_printf("job %" PRIu32 " is making it on GPU %s", job->id,
                                               job->gpu_name);
        /* Its GPU has not been looked at: whose it is must not be forgotten. */
        record = records_get(m->records, uuid);
        if (record)
                return g_strdup_printf("an instance of type %s on GPU %s, which has not answered yet, has it",
                                       record->type_id, record->gpu);
        return NULL;
}

static int check_names(Manager *m, const CreateRequest *request, VgpudError *reterr)
{
        char uuid[UUID_STRLEN + 1];
        const Record *record;

        if (request->count < 1 || request->count > CREATE_COUNT_MAX)
                return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID, "the count is %" PRIu32 ", not 1 to %d",
                                        request->count, CREATE_COUNT_MAX);
        if (request->count > 1 && (request->uuid || request->name))
                return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID,
                                        "a UUID or a name can be given to one instance only, not to %" PRIu32,
                                        request->count);
        if (request->uuid) {
                if (uuid_normalize(request->uuid, uuid) < 0)
                        return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID,
                                                "\"%s\" is not a UUID (8-4-4-4-12 hexadecimal digits)",
                                                request->uuid);
                if (uuid_is_nil(uuid))
                        return vgpud_error_setf(
                                        reterr, VGPUD_ERROR_INVALID,
                                        "%s is the UUID that means none; give another, or none at all to "
                                        "have one made up",
                                        uuid);
                g_autofree char *where = find_uuid(m, uuid);
                if (where)
                        return vgpud_error_setf(reterr, VGPUD_ERROR_EXISTS, "UUID %s is taken: %s", uuid,
                                                where);
        }
        if (request->name) {
                if (!instance_name_is_valid(request->name))
                        return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID,
                                                "\"%s\" is not a name: 1 to 64 letters, digits, \"_\", \".\" "
                                                "and \"-\", beginning with a letter, and not what a UUID may "
                                                "begin with (hexadecimal digits only)",
                                                request->name);
                if (manager_get_gpu(m, request->name))
                        return vgpud_error_setf(reterr, VGPUD_ERROR_EXISTS, "the name \"%s\" is that of a GPU",
                                                request->name);
                record = records_find_name(m->records, request->name);
                if (record)
                        return vgpud_error_setf(reterr, VGPUD_ERROR_EXISTS,
                                                "the name \"%s\" is taken by instance %s", request->name,
                                                record->uuid);
        }
        return 0;
}

int manager_resolve_create(Manager *m, const CreateRequest *request, Gpu **ret_gpu, const VgpuType **ret_type,
                           VgpudError *reterr)
{
        const VgpuType *type;
        Gpu *gpu;
        int r;

        r = check_names(m, request, reterr);
        if (r < 0)
                return r;
        for (guint i = 0; request->attributes && i < request->attributes->len; i++) {
                const VgpuAttribute *a = request->attributes->pdata[i];
                if (!vgpu_attribute_name_is_valid(a->name))
                        return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID,
                                                "\"%s\" is not the name of a vendor attribute", a->name);
                if (!vgpu_attribute_value_is_valid(a->value))
                        return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID,
                                                "the value of attribute %s must be one line of 1 to %d bytes, "
                                                "without control characters",
                                                a->name, VGPU_IO_ATTR_MAX);
        }
        if (!request->gpu || !request->gpu[0]) {
                if (request->parent)
                        return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID,
                                                "a parent can be chosen only with its GPU");
                return place_resolve(m, request, ret_gpu, ret_type, reterr);
        }
        if (request->hints)
                return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID,
                                        "strategy, NUMA node, device to be near to and pool are for choosing a "
                                        "GPU; one is named already");
        r = manager_find_gpu(m, request->gpu, &gpu, reterr);
        if (r < 0)
                return r;
        r = manager_check_gpu(gpu, reterr);
        if (r < 0)
                return r;
        type = gpu_snapshot_find_type(gpu->snapshot, request->type, reterr);
        if (!type)
                return -ENOENT;
        r = place_check_type(m, gpu, type, reterr);
        if (r < 0)
                return r;
        *ret_gpu = gpu;
        *ret_type = type;
        return 0;
}

static int check_queue(Manager *m, Gpu *gpu, uid_t requester, VgpudError *reterr)
{
        GHashTableIter iter;
        uint32_t n = 0;
        Job *job;

        if (m->stopping)
                return vgpud_error_setf(reterr, VGPUD_ERROR_CANCELED, "the daemon stops");
        if (g_queue_get_length(&gpu->waiting) >= m->config->jobs_per_gpu)
                return vgpud_error_setf(reterr, VGPUD_ERROR_TOO_MANY_JOBS,
                                        "%" PRIu32 " jobs wait for GPU %s already", m->config->jobs_per_gpu,
                                        gpu_name(gpu));
        if (requester == 0)
                return 0;
        g_hash_table_iter_init(&iter, m->jobs);
        while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&job))
                n += job->requester == requester;
        if (n >= m->config->jobs_per_user)
                return vgpud_error_setf(reterr, VGPUD_ERROR_TOO_MANY_JOBS,
                                        "user %u has %" PRIu32 " jobs already", (unsigned)requester, n);
        return 0;
}

void manager_submit_job(Manager *m, Job *job)
{
        g_hash_table_insert(m->jobs, GUINT_TO_POINTER(job->id), job);
        g_queue_push_tail(&job->gpu->waiting, job);
        MANAGER_EMIT(m, job_added, job);
        MANAGER_EMIT(m, gpu_changed, job->gpu, GPU_CHANGED_JOB);
        lane_submit(job->gpu->lane, &job->work);
}

void manager_end_job(Manager *m, Job *job)
{
        MANAGER_EMIT(m, job_removed, job);
        g_hash_table_remove(m->jobs, GUINT_TO_POINTER(job->id));
        job_free(job);
}

/* Records come first: a daemon that is killed while the kernel makes the instance must know that it is ours. */
static int write_intents(Manager *m, Job *job, VgpudError *reterr)
{
        for (guint i = 0; i < job->uuids->len; i++) {
                const char *uuid = job->uuids->pdata[i];
                Record record = {
                        .gpu = job->gpu_name,
                        .type_id = job->type_id,
                        .name = job->name,
                        .owner = job->requester,
                        .created_usec = job->created_usec,
                        .undo = job->uuids->len > 1 || (job->attributes && job->attributes->len > 0),
                };
                memcpy(record.uuid, uuid, sizeof record.uuid);
                if (job->uuids->len > 1)
                        memcpy(record.first, job->uuids->pdata[0], sizeof record.first);
                int r = records_put(m->records, &record);
                if (r < 0) {
                        for (guint k = 0; k < i; k++)
                                records_forget(m->records, job->uuids->pdata[k]);
                        LOG_FIELDS(LOG_WARNING, (.gpu = job->gpu_name, .instance = uuid, .error = r),
                                   "Cannot write the record of %s in %s: %m", uuid,
                                   m->config->runtime_directory);
                        return vgpud_error_set_errnof(reterr, VGPUD_ERROR_FAILED, r,
                                                      "cannot write the record of %s in %s: %s", uuid,
                                                      m->config->runtime_directory, g_strerror(-r));
                }
        }
        return 0;
}

int manager_create(Manager *m, const CreateRequest *request, Job **ret, VgpudError *reterr)
{
        char uuid[UUID_STRLEN + 1];
        const VgpuType *type;
        Gpu *gpu;
        Job *job;
        int r;

        r = manager_resolve_create(m, request, &gpu, &type, reterr);
        if (r < 0)
                return r;
        r = check_queue(m, gpu, request->requester, reterr);
        if (r < 0)
                return r;

        job = job_new(m, JOB_CREATE, gpu, request->requester, request->timeout_usec);
        job->type_id = g_strdup(type->id);
        job->parent = g_strdup(request->parent);
        job->name = g_strdup(request->name);
        job->attributes = g_ptr_array_new_with_free_func(attribute_destroy);
        for (guint i = 0; request->attributes && i < request->attributes->len; i++) {
                const VgpuAttribute *a = request->attributes->pdata[i];
                g_ptr_array_add(job->attributes, vgpu_attribute_new(a->name, a->value));
        }
        for (uint32_t i = 0; i < request->count; i++) {
                if (request->uuid)
                        g_assert(uuid_normalize(request->uuid, uuid) >= 0);
                else
                        uuid_generate(uuid);
                g_ptr_array_add(job->uuids, g_strdup(uuid));
        }
        r = write_intents(m, job, reterr);
        if (r < 0) {
                job_free(job);
                return r;
        }
        manager_submit_job(m, job);
        *ret = job;
        return 0;
}

int manager_destroy(Manager *m, Instance *instance, bool foreign, uid_t requester, uint64_t timeout_usec,
                    Job **ret, VgpudError *reterr)
{
        Gpu *gpu = instance->gpu;
        Job *job;
        int r;

        if (instance->origin == INSTANCE_ORIGIN_FOREIGN && !foreign)
                return vgpud_error_setf(reterr, VGPUD_ERROR_FOREIGN,
                                        "instance %s was not made by vgpud; to remove it all the same, say so "
                                        "(--foreign)",
                                        instance->desc->uuid);
        /* First the GPU: when it is stuck, that a job works on the instance is the lesser half of the truth. */
        r = check_driven(gpu, reterr);
        if (r < 0)
                return r;
        if (instance->job)
                return vgpud_error_setf(reterr, VGPUD_ERROR_IN_USE, "job %" PRIu32 " (%s) works on instance %s",
                                        instance->job->id, job_kind_to_string(instance->job->kind),
                                        instance->desc->uuid);
        r = check_queue(m, gpu, requester, reterr);
        if (r < 0)
                return r;
        job = job_new(m, JOB_DESTROY, gpu, requester, timeout_usec);
        const Record *record = records_get(m->records, instance->desc->uuid);
        job->instance = instance_desc_copy(instance->desc);
        if (record && !job->instance->restore)
                job->instance->restore = g_strdup(record->restore);
        g_ptr_array_add(job->uuids, g_strdup(instance->desc->uuid));
        instance->job = job;
        manager_submit_job(m, job);
        MANAGER_EMIT(m, instance_changed, instance, INSTANCE_CHANGED_JOB);
        *ret = job;
        return 0;
}

int manager_check_set_vfs(const Gpu *gpu, uint32_t count, VgpudError *reterr)
{
        int r;

        r = check_driven(gpu, reterr);
        if (r < 0)
                return r;
        if (!gpu->driver->set_vfs || gpu->facts->total_vfs == 0)
                return vgpud_error_setf(
                                reterr, VGPUD_ERROR_UNSUPPORTED,
                                "GPU %s has no virtual functions to enable or disable%s", gpu_name(gpu),
                                gpu->facts->is_pci && gpu->driver->set_vfs
                                                ? "; where the hardware has SR-IOV, it may be switched off in "
                                                  "the firmware setup"
                                                : "");
        if (count > gpu->facts->total_vfs)
                return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID,
                                        "GPU %s can have %" PRIu32 " virtual functions, not %" PRIu32,
                                        gpu_name(gpu), gpu->facts->total_vfs, count);
        return 0;
}

int manager_set_vfs(Manager *m, Gpu *gpu, uint32_t count, uid_t requester, uint64_t timeout_usec, Job **ret,
                    VgpudError *reterr)
{
        Job *job;
        int r;

        r = manager_check_set_vfs(gpu, count, reterr);
        if (r < 0)
                return r;
        r = check_queue(m, gpu, requester, reterr);
        if (r < 0)
                return r;
        job = job_new(m, JOB_SET_VFS, gpu, requester, timeout_usec);
        job->vfs = count;
        manager_submit_job(m, job);
        *ret = job;
        return 0;
}

static const VgpuMode *find_mode(const GpuSnapshot *s, const char *name)
{
        for (guint i = 0; i < s->modes->len; i++) {
                const VgpuMode *mode = s->modes->pdata[i];
                if (strcmp(mode->name, name) == 0)
                        return mode;
        }
        return NULL;
}

static int no_such_mode(const Gpu *gpu, const char *name, VgpudError *reterr)
{
        g_autoptr(GString) names = g_string_new(NULL);

        for (guint i = 0; i < gpu->snapshot->modes->len; i++)
                g_string_append_printf(names, "%s%s", i > 0 ? ", " : "",
                                       ((const VgpuMode *)gpu->snapshot->modes->pdata[i])->name);
        if (names->len == 0)
                return vgpud_error_setf(reterr, VGPUD_ERROR_UNSUPPORTED, "GPU %s has no modes to set",
                                        gpu_name(gpu));
        return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID, "GPU %s has no mode \"%s\"; it has %s",
                                gpu_name(gpu), name, names->str);
}

int manager_check_configure(const Gpu *gpu, const char *mode_name, const char *value, VgpudError *reterr)
{
        const VgpuMode *mode;
        int r;

        r = check_driven(gpu, reterr);
        if (r < 0)
                return r;
        mode = find_mode(gpu->snapshot, mode_name);
        if (!mode || !gpu->driver->configure)
                return no_such_mode(gpu, mode_name, reterr);
        if (!mode->choices)
                return vgpud_error_setf(reterr, VGPUD_ERROR_UNSUPPORTED,
                                        "mode \"%s\" of GPU %s cannot be set%s%s", mode_name, gpu_name(gpu),
                                        mode->help ? ": " : "", mode->help ? mode->help : "");
        if (!g_strv_contains((const char *const *)mode->choices, value)) {
                g_autofree char *choices = g_strjoinv(", ", mode->choices);
                return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID,
                                        "mode \"%s\" of GPU %s cannot be \"%s\"; it can be %s", mode_name,
                                        gpu_name(gpu), value, choices);
        }
        return 0;
}

int manager_configure(Manager *m, Gpu *gpu, const char *mode_name, const char *value, uid_t requester,
                      uint64_t timeout_usec, Job **ret, VgpudError *reterr)
{
        Job *job;
        int r;

        r = manager_check_configure(gpu, mode_name, value, reterr);
        if (r < 0)
                return r;
        r = check_queue(m, gpu, requester, reterr);
        if (r < 0)
                return r;
        job = job_new(m, JOB_CONFIGURE, gpu, requester, timeout_usec);
        job->mode = g_strdup(mode_name);
        job->value = g_strdup(value);
        manager_submit_job(m, job);
        *ret = job;
        return 0;
}

int manager_rescan(Manager *m, Gpu *gpu, uid_t requester, Job **ret, VgpudError *reterr)
{
        Job *job;
        int r;

        r = check_driven(gpu, reterr);
        if (r < 0 && (!gpu->driver || gpu->state == GPU_STUCK))
                return r;
        vgpud_error_done(reterr);
        r = check_queue(m, gpu, requester, reterr);
        if (r < 0)
                return r;
        job = job_new(m, JOB_RESCAN, gpu, requester, 0);
        manager_submit_job(m, job);
        *ret = job;
        return 0;
}
