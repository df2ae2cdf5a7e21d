/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "dbus/bus-announce.h"

#include <string.h>

#include "base/log.h"
#include "daemon/model/gpu.h"
#include "daemon/model/instance.h"
#include "daemon/model/model.h"
#include "daemon/work/finished.h"
#include "daemon/work/job.h"
#include "dbus/bus-definitions.h"
#include "dbus/bus-gpu.h"
#include "dbus/bus-instance.h"
#include "dbus/bus-job.h"
#include "dbus/bus-names.h"
#include "dbus/bus-request.h"
#include "dbus/bus-types.h"
#include "dbus/message/bus-util.h"

/* A new job that does not start within this time is announced as waiting. */
#define ANNOUNCE_START_USEC (20 * USEC_PER_MSEC)

/* Largest size of the rows in one signal, in bytes. No signal may be longer than 4 KiB. The rest is for the
 * header, which may have a long object path. */
#define ANNOUNCE_ROWS_SIZE_MAX 2800U

/* The last announced state of a GPU. */
typedef struct GpuNews {
        unsigned changes;      /* GpuChange, not announced yet */
        bool dirty;            /* the other fields must be compared */
        GpuSnapshot *snapshot; /* ref; NULL: none yet */
        GPtrArray *vfs;        /* BusVf, owned */
        uint32_t instance_count, type_count;
        uint64_t memory_bytes, memory_used_bytes;
} GpuNews;

struct BusAnnounce {
        Bus *bus;               /* borrowed */
        GHashTable *gpus;       /* Gpu -> GpuNews, owned */
        GHashTable *instances;  /* Instance -> InstanceChange, not announced yet */
        GHashTable *jobs;       /* Job -> changes not announced yet */
        GPtrArray *added;       /* Instance: not announced yet */
        GPtrArray *added_jobs;  /* Job: not announced yet */
        sd_event_source *flush; /* owned; once per iteration of the loop */
        sd_event_source *start; /* owned; for jobs that do not start soon */
};

static void announce_log(int r, const char *what)
{
        if (r < 0)
                log_debug_errno(r, "Failed to announce %s, ignoring: %m", what);
}

static void announce_added(Bus *b, const char *path, const char *interface)
{
        announce_log(sd_bus_emit_interfaces_added(b->bus, path, interface, NULL), path);
}

static void announce_removed(Bus *b, const char *path, const char *interface)
{
        announce_log(sd_bus_emit_interfaces_removed(b->bus, path, interface, NULL), path);
}

/* ---- the last announced state of a GPU ---- */

static void news_take(GpuNews *news, const Gpu *gpu)
{
        gpu_snapshot_unref(news->snapshot);
        news->snapshot = gpu->snapshot ? gpu_snapshot_ref(gpu->snapshot) : NULL;
        g_clear_pointer(&news->vfs, g_ptr_array_unref);
        news->vfs = bus_gpu_vfs(gpu);
        news->instance_count = bus_gpu_instance_count(gpu);
        news->type_count = bus_gpu_type_count(gpu);
        news->memory_bytes = bus_gpu_memory_bytes(gpu);
        news->memory_used_bytes = bus_gpu_memory_used_bytes(gpu);
        news->changes = 0;
        news->dirty = false;
}

static void news_free(gpointer p)
{
        GpuNews *news = p;

        gpu_snapshot_unref(news->snapshot);
        g_clear_pointer(&news->vfs, g_ptr_array_unref);
        g_free(news);
}

static void announce_add_news(BusAnnounce *a, Gpu *gpu)
{
        GpuNews *news = g_new0(GpuNews, 1);

        news_take(news, gpu);
        g_hash_table_insert(a->gpus, gpu, news);
}

BusAnnounce *bus_announce_new(Bus *b)
{
        BusAnnounce *a = g_new(BusAnnounce, 1);
        GHashTableIter i;
        void *gpu;

        *a = (BusAnnounce){
                .bus = b,
                .gpus = g_hash_table_new_full(NULL, NULL, NULL, news_free),
                .instances = g_hash_table_new(NULL, NULL),
                .jobs = g_hash_table_new(NULL, NULL),
                .added = g_ptr_array_new(),
                .added_jobs = g_ptr_array_new(),
        };

        g_hash_table_iter_init(&i, model_gpus(b->model));

        while (g_hash_table_iter_next(&i, NULL, &gpu))
                announce_add_news(a, gpu);

        return a;
}

BusAnnounce *bus_announce_free(BusAnnounce *a)
{
        if (!a)
                return NULL;

        sd_event_source_disable_unref(a->flush);
        sd_event_source_disable_unref(a->start);
        g_hash_table_unref(a->gpus);
        g_hash_table_unref(a->instances);
        g_hash_table_unref(a->jobs);
        g_ptr_array_unref(a->added);
        g_ptr_array_unref(a->added_jobs);
        g_free(a);

        return NULL;
}

/* ---- types and VFs ---- */

static int announce_new_table_signal(Bus *b, const char *path, const char *member, bool list_changed,
                                     sd_bus_message **ret)
{
        int r;

        r = sd_bus_message_new_signal(b->bus, ret, path, VGPUD_INTERFACE_GPU, member);
        if (r >= 0)
                r = sd_bus_message_append(*ret, "b", list_changed);
        if (r >= 0 && list_changed)
                r = sd_bus_message_append(*ret, "a{sv}", 0);

        return r;
}

static int announce_types(Bus *b, const char *path, const GpuSnapshot *before, const GpuSnapshot *after)
{
        BusTypesDifference difference = before == after ? BUS_TYPES_SAME : bus_types_compare(before, after);
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *signal = NULL;
        bool is_list = difference == BUS_TYPES_LIST;
        int r;

        if (difference == BUS_TYPES_SAME)
                return 0;

        r = announce_new_table_signal(b, path, "TypesChanged", is_list, &signal);
        if (r >= 0 && !is_list)
                r = bus_types_append_changes(signal, before, after);

        return r < 0 ? r : sd_bus_send(b->bus, signal, NULL);
}

static bool vfs_are_same_list(const GPtrArray *before, const GPtrArray *after)
{
        if (before->len != after->len)
                return false;

        for (guint i = 0; i < after->len; i++) {
                const BusVf *x = before->pdata[i], *y = after->pdata[i];

                if (x->index != y->index || strcmp(x->name, y->name) != 0)
                        return false;
        }

        return true;
}

BUS_DEFINE_COLUMN(vf_append_index, BusVf, vf, "u", vf->index)
BUS_DEFINE_STRING_COLUMN(vf_append_instance, BusVf, vf, "o", vf->instance)
BUS_DEFINE_STRING_COLUMN(vf_append_driver, BusVf, vf, "s", vf->driver)
BUS_DEFINE_STRING_COLUMN(vf_append_driver_override, BusVf, vf, "s", vf->driver_override)
BUS_DEFINE_STRING_COLUMN(vf_append_state, BusVf, vf, "s", vf->state)

/* The columns with a value that changed. */
typedef struct VfColumns {
        bool driver, override, state;
} VfColumns;

static int announce_append_vfs(sd_bus_message *signal, const GPtrArray *rows, VfColumns changed)
{
        BusColumn columns[5] = {
                { "index", "u", vf_append_index },
                { "instance", "o", vf_append_instance },
        };
        size_t n = 2;

        if (changed.driver)
                columns[n++] = (BusColumn){ "driver", "s", vf_append_driver };
        if (changed.override)
                columns[n++] = (BusColumn){ "driver_override", "s", vf_append_driver_override };
        if (changed.state)
                columns[n++] = (BusColumn){ "state", "s", vf_append_state };

        return bus_append_table(signal, columns, n, rows);
}

static size_t announce_vf_size(const BusVf *vf)
{
        return 32 + strlen(vf->instance) + strlen(vf->driver) + strlen(vf->driver_override) + strlen(vf->state);
}

/* Send the rows in several signals if needed, because no signal may be longer than 4 KiB. */
static int announce_vf_rows(Bus *b, const char *path, const GPtrArray *rows, VfColumns changed)
{
        int r = 0;

        for (guint i = 0; r >= 0 && i < rows->len;) {
                _cleanup_(sd_bus_message_unrefp) sd_bus_message *signal = NULL;
                g_autoptr(GPtrArray) part = g_ptr_array_new();
                size_t size = 0;

                while (i < rows->len) {
                        size += announce_vf_size(rows->pdata[i]);
                        if (part->len > 0 && size > ANNOUNCE_ROWS_SIZE_MAX)
                                break;

                        g_ptr_array_add(part, rows->pdata[i++]);
                }

                r = announce_new_table_signal(b, path, "VfsChanged", false, &signal);
                if (r >= 0)
                        r = announce_append_vfs(signal, part, changed);
                if (r >= 0)
                        r = sd_bus_send(b->bus, signal, NULL);
        }

        return r;
}

static int announce_vfs(Bus *b, const char *path, const GPtrArray *before, const GPtrArray *after)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *signal = NULL;
        bool is_list = !vfs_are_same_list(before, after);
        VfColumns changed = { 0 };
        g_autoptr(GPtrArray) rows = g_ptr_array_new();
        int r;

        for (guint i = 0; !is_list && i < after->len; i++) {
                const BusVf *x = before->pdata[i], *y = after->pdata[i];
                bool driver = strcmp(x->driver, y->driver) != 0;
                bool override = strcmp(x->driver_override, y->driver_override) != 0;
                bool state = strcmp(x->state, y->state) != 0;

                if (driver || override || state || strcmp(x->instance, y->instance) != 0)
                        g_ptr_array_add(rows, (BusVf *)y);
                changed.driver |= driver;
                changed.override |= override;
                changed.state |= state;
        }

        if (!is_list && rows->len == 0)
                return 0;

        if (!is_list && rows->len <= BUS_CHANGED_ROWS_MAX)
                return announce_vf_rows(b, path, rows, changed);

        r = announce_new_table_signal(b, path, "VfsChanged", true, &signal);

        return r < 0 ? r : sd_bus_send(b->bus, signal, NULL);
}

/* ---- a round of announcements ---- */

static unsigned news_compare(const GpuNews *news, const Gpu *gpu)
{
        unsigned changes = news->changes;

        if (news->instance_count != bus_gpu_instance_count(gpu))
                changes |= BUS_GPU_CHANGED_INSTANCE_COUNT;
        if (news->type_count != bus_gpu_type_count(gpu))
                changes |= BUS_GPU_CHANGED_TYPE_COUNT;
        if (news->memory_bytes != bus_gpu_memory_bytes(gpu))
                changes |= BUS_GPU_CHANGED_MEMORY;
        if (news->memory_used_bytes != bus_gpu_memory_used_bytes(gpu))
                changes |= BUS_GPU_CHANGED_MEMORY_USED;

        return changes;
}

static void announce_properties(Bus *b, const char *path, const char *interface, char **properties)
{
        if (properties[0])
                announce_log(sd_bus_emit_properties_changed_strv(b->bus, path, interface, properties), path);
}

static void announce_gpu(Bus *b, const Gpu *gpu, GpuNews *news)
{
        g_autofree char *path = bus_gpu_path(gpu);
        g_autoptr(GPtrArray) vfs = bus_gpu_vfs(gpu);
        unsigned changes = news_compare(news, gpu);

        announce_log(announce_types(b, path, news->snapshot, gpu->snapshot), "TypesChanged");
        announce_log(announce_vfs(b, path, news->vfs, vfs), "VfsChanged");

        if (changes != 0) {
                g_autofree char **properties = bus_gpu_properties(changes);

                announce_properties(b, path, VGPUD_INTERFACE_GPU, properties);
        }

        news_take(news, gpu);
}

static void announce_gpus(BusAnnounce *a)
{
        GHashTableIter i;
        void *gpu, *news;

        g_hash_table_iter_init(&i, a->gpus);

        while (g_hash_table_iter_next(&i, &gpu, &news))
                if (((GpuNews *)news)->dirty)
                        announce_gpu(a->bus, gpu, news);
}

static void announce_instances(BusAnnounce *a)
{
        GHashTableIter i;
        void *instance, *changes;

        for (guint k = 0; k < a->added->len; k++) {
                g_autofree char *path = bus_instance_path(a->added->pdata[k]);

                /* The first announcement has all properties. */
                g_hash_table_remove(a->instances, a->added->pdata[k]);
                announce_added(a->bus, path, VGPUD_INTERFACE_INSTANCE);
        }

        g_ptr_array_set_size(a->added, 0);

        g_hash_table_iter_init(&i, a->instances);

        while (g_hash_table_iter_next(&i, &instance, &changes)) {
                g_autofree char *path = bus_instance_path(instance);
                g_autofree char **properties = bus_instance_properties(GPOINTER_TO_UINT(changes));

                announce_properties(a->bus, path, VGPUD_INTERFACE_INSTANCE, properties);
        }

        g_hash_table_remove_all(a->instances);
}

static void announce_job_added(BusAnnounce *a, Job *job)
{
        g_autofree char *path = bus_job_path(job);

        g_hash_table_remove(a->jobs, job);
        announce_added(a->bus, path, VGPUD_INTERFACE_JOB);
}

/* True if the lane of the GPU is free for the job, which starts within microseconds. */
static bool job_is_about_to_start(const Job *job)
{
        const Gpu *gpu = job->gpu;

        return job->state == JOB_WAITING && gpu && !gpu->current && !gpu->scan && gpu->waiting.head &&
               gpu->waiting.head->data == job;
}

static int announce_on_start_timer(sd_event_source *s, uint64_t usec, void *userdata)
{
        bus_announce_jobs(userdata);
        return 0;
}

static void announce_wait_for_starts(BusAnnounce *a)
{
        if (a->start)
                return;

        announce_log(sd_event_add_time_relative(sd_bus_get_event(a->bus->bus), &a->start, CLOCK_MONOTONIC,
                                                ANNOUNCE_START_USEC, 0, announce_on_start_timer, a->bus),
                     "jobs");
}

/* `all`: including jobs that are about to start. */
static void announce_added_jobs(BusAnnounce *a, bool all)
{
        for (guint i = 0; i < a->added_jobs->len;) {
                Job *job = a->added_jobs->pdata[i];

                if (!all && job_is_about_to_start(job)) {
                        i++;
                        continue;
                }

                g_ptr_array_remove_index(a->added_jobs, i);
                announce_job_added(a, job);
        }

        if (a->added_jobs->len > 0)
                announce_wait_for_starts(a);
        else
                a->start = sd_event_source_disable_unref(a->start);
}

static void announce_changed_jobs(BusAnnounce *a)
{
        GHashTableIter i;
        void *job, *changes;

        g_hash_table_iter_init(&i, a->jobs);

        while (g_hash_table_iter_next(&i, &job, &changes)) {
                g_autofree char *path = bus_job_path(job);
                g_autofree char **properties = bus_job_properties(GPOINTER_TO_UINT(changes));

                if (!g_ptr_array_find(a->added_jobs, job, NULL))
                        announce_properties(a->bus, path, VGPUD_INTERFACE_JOB, properties);
        }

        g_hash_table_remove_all(a->jobs);
}

static void announce_flush(BusAnnounce *a, bool all_jobs)
{
        announce_added_jobs(a, all_jobs);
        announce_changed_jobs(a);
        announce_instances(a);
        announce_gpus(a);
        a->flush = sd_event_source_disable_unref(a->flush);
}

void bus_announce_flush(Bus *b)
{
        announce_flush(b->announce, false);
}

void bus_announce_jobs(Bus *b)
{
        announce_flush(b->announce, true);
}

static int announce_on_flush(sd_event_source *s, void *userdata)
{
        bus_announce_flush(userdata);
        return 0;
}

static void announce_want_flush(Bus *b)
{
        BusAnnounce *a = b->announce;

        /* If this fails, the next answer or the next end of a job announces the changes. */
        if (!a->flush)
                announce_log(sd_event_add_defer(sd_bus_get_event(b->bus), &a->flush, announce_on_flush, b),
                             "changes");
}

static void announce_note(Bus *b, GHashTable *table, void *object, unsigned changes)
{
        unsigned before = GPOINTER_TO_UINT(g_hash_table_lookup(table, object));

        g_assert(changes != 0);

        g_hash_table_insert(table, object, GUINT_TO_POINTER(before | changes));
        announce_want_flush(b);
}

static void announce_note_gpu(Bus *b, Gpu *gpu, unsigned changes)
{
        GpuNews *news = g_hash_table_lookup(b->announce->gpus, gpu);

        g_assert(news);

        news->changes |= changes;
        news->dirty = true;
        announce_want_flush(b);
}

/* ---- events of the model ---- */

static void announce_on_gpu_added(Gpu *gpu, void *userdata)
{
        Bus *b = userdata;
        g_autofree char *path = bus_gpu_path(gpu);

        announce_added(b, path, VGPUD_INTERFACE_GPU);
        announce_add_news(b->announce, gpu);
}

static void announce_on_gpu_changed(Gpu *gpu, unsigned changes, void *userdata)
{
        announce_note_gpu(userdata, gpu, changes);
}

static void announce_on_gpu_removed(Gpu *gpu, void *userdata)
{
        Bus *b = userdata;
        g_autofree char *path = bus_gpu_path(gpu);

        bus_announce_flush(b);
        g_hash_table_remove(b->announce->gpus, gpu);
        announce_removed(b, path, VGPUD_INTERFACE_GPU);
}

static void announce_on_instance_added(Instance *instance, void *userdata)
{
        Bus *b = userdata;

        g_ptr_array_add(b->announce->added, instance);
        announce_note_gpu(b, instance->gpu, 0);
}

static void announce_on_instance_changed(Instance *instance, unsigned changes, void *userdata)
{
        Bus *b = userdata;

        announce_note(b, b->announce->instances, instance, changes);

        if (changes & INSTANCE_CHANGED_DESC)
                announce_note_gpu(b, instance->gpu, 0);
}

static void announce_on_instance_removed(Instance *instance, void *userdata)
{
        Bus *b = userdata;
        g_autofree char *path = bus_instance_path(instance);

        g_hash_table_remove(b->announce->instances, instance);
        announce_note_gpu(b, instance->gpu, 0);

        if (g_ptr_array_remove(b->announce->added, instance))
                return;

        /* Announce new jobs first: within one iteration of the event loop, a job may start and remove its
         * instance. */
        announce_added_jobs(b->announce, false);
        announce_removed(b, path, VGPUD_INTERFACE_INSTANCE);
}

static void announce_on_job_added(Job *job, void *userdata)
{
        Bus *b = userdata;

        g_ptr_array_add(b->announce->added_jobs, job);
        announce_want_flush(b);
}

static void announce_on_job_changed(Job *job, void *userdata)
{
        Bus *b = userdata;

        announce_note(b, b->announce->jobs, job, BUS_JOB_CHANGED);
}

static int announce_job_removed(Bus *b, const Job *job, const char *path)
{
        const FinishedJob *finished = finished_get(b->model->finished, job->id);
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *signal = NULL;
        bool success = job->error.code == VGPUD_ERROR_NONE;
        int r;

        g_assert(finished);

        r = sd_bus_message_new_signal(b->bus, &signal, VGPUD_PATH_ROOT, VGPUD_INTERFACE_MANAGER, "JobRemoved");
        if (r >= 0)
                r = sd_bus_message_append(signal, "uoss", job->id, path, job_state_to_string(job->state),
                                          success ? "" : vgpud_error_code_to_dbus(job->error.code));
        if (r >= 0)
                r = bus_job_append_removed(signal, finished);

        return r < 0 ? r : sd_bus_send(b->bus, signal, NULL);
}

static void announce_on_job_removed(Job *job, void *userdata)
{
        Bus *b = userdata;
        g_autofree char *path = bus_job_path(job);

        g_assert(job->state > JOB_STUCK);

        /* Do not announce the final state as a changed property: JobRemoved has the result. */
        g_hash_table_remove(b->announce->jobs, job);
        bus_announce_flush(b);
        announce_removed(b, path, VGPUD_INTERFACE_JOB);
        announce_log(announce_job_removed(b, job, path), "JobRemoved");
        bus_request_end(b, job);
}

/* Announce all other changes first, so that a client that hears "ready" finds the instances. */
static void announce_on_readiness_changed(Model *m, void *userdata)
{
        Bus *b = userdata;

        bus_announce_flush(b);
        announce_log(sd_bus_emit_properties_changed(b->bus, VGPUD_PATH_ROOT, VGPUD_INTERFACE_MANAGER,
                                                    "Readiness", NULL),
                     "Readiness");
}

const ModelEvents bus_announce_events = {
        .gpu_added = announce_on_gpu_added,
        .gpu_changed = announce_on_gpu_changed,
        .gpu_removed = announce_on_gpu_removed,
        .instance_added = announce_on_instance_added,
        .instance_changed = announce_on_instance_changed,
        .instance_removed = announce_on_instance_removed,
        .definition_added = bus_definitions_on_added,
        .definition_changed = bus_definitions_on_changed,
        .definition_removed = bus_definitions_on_removed,
        .readiness_changed = announce_on_readiness_changed,
        .job_added = announce_on_job_added,
        .job_changed = announce_on_job_changed,
        .job_removed = announce_on_job_removed,
};
