/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The model's beginning and end, what a discovery means for it, and how things in it are found. */

#include "daemon/manager.h"

#include <inttypes.h>
#include <string.h>
#include <systemd/sd-id128.h>
#include <time.h>

#include "base/fs-util.h"
#include "base/log.h"
#include "daemon/manager-private.h"

static const ManagerEvents no_events;

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

bool manager_slot_is_there(Manager *m, const char *slot)
{
        return slot && inventory_find_pci(m->inventory, slot, NULL);
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
                /* A virtual function may outlive the driver of its GPU, and our interest in that. */
                if (manager_slot_is_there(m, record->slot))
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
                if (now && (gpu_is_device(gpu, now) || gpu_has_answered_since(gpu, now->began_usec)))
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
                if (record) {
                        g_autofree char *where = NULL;
                        VgpudErrorCode code = manager_explain_record(m, record, &where);
                        return vgpud_error_setf(reterr, code, "instance %s is on %s", record->uuid, where);
                }
                return vgpud_error_setf(reterr, VGPUD_ERROR_NO_SUCH_INSTANCE, "there is no instance \"%s\"",
                                        what);
        }
        *ret = found;
        return 0;
}
