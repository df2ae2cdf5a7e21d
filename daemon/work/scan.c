/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "daemon/work/scan.h"

#include <inttypes.h>
#include <string.h>

#include "base/log-ids.h"
#include "base/log.h"
#include "base/shared-fd.h"
#include "base/thread.h"
#include "base/time-util.h"
#include "daemon/store/autoprobe.h"
#include "daemon/model/defined.h"
#include "daemon/model/gpu.h"
#include "daemon/model/instance.h"
#include "daemon/store/known-types.h"
#include "daemon/work/debounce.h"
#include "daemon/work/job.h"
#include "daemon/work/lane.h"
#include "daemon/model/latest-facts.h"
#include "daemon/model/apply.h"
#include "daemon/model/apply-parents.h"
#include "daemon/model/model.h"
#include "daemon/model/rules.h"
#include "daemon/store/records.h"
#include "daemon/work/queue.h"
#include "drivers-glue/problem.h"

/* Events come in bursts (four per mediated device, three per VF): scan once, this long after the first. */
#define SCAN_DEBOUNCE_USEC (20 * USEC_PER_MSEC)
#define SCAN_LATER_USEC    (100 * USEC_PER_MSEC)
/* Time in which a scan gives way to other work. After this time it runs to its end: a scan that always gave way
 * would never end, because it begins from the start each time. */
#define SCAN_YIELD_USEC USEC_PER_SEC

/* The last event of an instance comes a moment before the kernel has created or removed it completely. So a
 * quick scan that finds an unfinished instance is repeated after this pause, at most this often. The later scan
 * of the whole GPU finds the instance in any case. */
#define QUICK_PAUSE_USEC  (2 * USEC_PER_MSEC)
#define QUICK_RETRIES_MAX 6
/* Limit of parents of a quick scan, because a job may wait for the quick scan. The scan of the whole GPU reads
 * the other parents. */
#define QUICK_PARENTS_MAX 16U

/* A slot reserved by an earlier daemon, with the state to restore. */
typedef struct ReservedSlot {
        char uuid[UUID_STRLEN + 1];
        char *slot, *restore; /* owned */
        uint64_t identity;    /* identity of the device at creation; 0: not known */
        bool in_progress;     /* a create or destroy had begun */
} ReservedSlot;

/* A record in doubt, to be compared with the device of its UUID. */
typedef struct DoubtfulDevice {
        char uuid[UUID_STRLEN + 1];
        bool has_slot;
        uint64_t identity; /* of the record; 0: not known */

        /* Written by the lane. */
        uint64_t proof; /* records_read_proof() */
        bool is_other;  /* the device is another program's, or nothing proves that it is not */
        bool is_seen;   /* the snapshot has the device */
        bool is_going;  /* the device vanished during the scan */
} DoubtfulDevice;

/* A scan, or a quick scan. */
struct Scan {
        LaneWork work; /* first */
        Model *model;
        Gpu *gpu; /* borrowed; NULL once the GPU has gone */
        const VgpuDriver *driver;
        LatestFacts *latest;    /* ref */
        GpuFacts *facts;        /* ref; facts at the start of the run; NULL before */
        GPtrArray *known_types; /* ref */
        VgpuSlots *slots;       /* ref; Gpu.slots */
        bool take_bound;        /* VgpuTarget.take_bound */
        SharedFd *runtime;      /* ref; for GpuNotes */
        SharedFd *records;      /* ref; the folder of the records */
        bool probe_again;       /* restore sriov_drivers_autoprobe; see autoprobe.h */
        bool probed_again;      /* the attribute is 1 again */
        GPtrArray *reserved;    /* owned: ReservedSlot; NULL: none */
        GHashTable *doubtful;   /* owned: UUID -> DoubtfulDevice; NULL: none */
        uint64_t yield_usec;    /* CLOCK_MONOTONIC; end of the time in which the scan gives way; 0: never */
        bool yielded;           /* the scan gave way and has no result */
        GPtrArray *parents;     /* owned: char *: read only these; NULL: a scan of everything */
        GpuSnapshot *snapshot;
        VgpudError error;
        sd_event_source *deadline;
        bool overdue; /* past the deadline: the GPU was marked stuck */
};

static void reserved_slot_free(gpointer p)
{
        ReservedSlot *r = p;

        g_free(r->slot);
        g_free(r->restore);
        g_free(r);
}

static Scan *scan_free(Scan *s)
{
        sd_event_source_disable_unref(s->deadline);
        latest_facts_unref(s->latest);
        gpu_facts_unref(s->facts);
        g_ptr_array_unref(s->known_types);
        vgpu_slots_unref(s->slots);
        g_clear_pointer(&s->reserved, g_ptr_array_unref);
        g_clear_pointer(&s->doubtful, g_hash_table_unref);
        shared_fd_unref(s->runtime);
        shared_fd_unref(s->records);
        g_clear_pointer(&s->parents, g_ptr_array_unref);
        gpu_snapshot_unref(s->snapshot);
        vgpud_error_done(&s->error);
        g_free(s);

        return NULL;
}

/* ---- in the lane ---- */

/* Skip a slot whose sysfs inode changed: another program recreated the device, so vgpud must not restore its
 * state. */
static void scan_finish_interrupted(const Scan *s, VgpuTarget *t, const ReservedSlot *r)
{
        const VgpuVf *vf = gpu_facts_find_vf(t->facts, r->slot);
        _cleanup_vgpud_error_ VgpudError error = VGPUD_ERROR_INIT;
        uint64_t now;
        int q;

        if (vf && r->identity != 0 && vgpu_io_identify(t->io, vf->path, &now) >= 0 && now != r->identity)
                return;

        q = s->driver->finish_interrupted(t, r->slot, r->restore, &error);
        if (q < 0)
                log_warning("Cannot finish interrupted work on %s of GPU %s: %s", r->slot, s->facts->name,
                            error.message);
        if (q > 0 && r->in_progress)
                vgpu_slots_remove(t->slots, r->uuid);
}

static void scan_set_autoprobe_back(Scan *s, VgpuIo *io)
{
        g_autofree char *path = g_strconcat(s->facts->path, "/sriov_drivers_autoprobe", NULL);
        int r = vgpu_io_write(io, path, "1");

        s->probed_again = r >= 0 || r == -ENOENT;
        if (s->probed_again)
                autoprobe_unmark(shared_fd_get(s->runtime), s->facts->name);
}

/* Compare each record in doubt with its device. Read the proofs from disk first: vgpud-write of the killed
 * daemon may have appended a proof after start-up, before this lane got its lock. */
static void scan_compare_doubtful(Scan *s, VgpuIo *io)
{
        GHashTableIter iter;
        DoubtfulDevice *each;

        g_hash_table_iter_init(&iter, s->doubtful);
        while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&each)) {
                each->proof = records_read_proof(shared_fd_get(s->records), each->uuid);
                if (each->identity == 0)
                        each->identity = each->proof;
        }

        for (guint i = 0; i < s->snapshot->instances->len; i++) {
                const InstanceDesc *d = s->snapshot->instances->pdata[i];
                DoubtfulDevice *doubtful = g_hash_table_lookup(s->doubtful, d->uuid);
                uint64_t now = 0;
                int r;

                if (!doubtful)
                        continue;

                r = vgpu_io_identify(io, d->path, &now);
                doubtful->is_seen = true;
                doubtful->is_going = vgpu_io_is_gone(r);
                doubtful->is_other = !doubtful->is_going && !records_fits(doubtful->identity, now);
        }
}

static bool scan_is_awaited(void *userdata)
{
        Scan *s = userdata;

        s->yielded = now_monotonic_usec() < s->yield_usec && lane_is_awaited(&s->work);

        return s->yielded;
}

static void scan_run(LaneWork *w, VgpuIo *io)
{
        Scan *s = (Scan *)w;
        VgpuTarget t = { .io = io,
                         .known_types = s->known_types,
                         .slots = s->slots,
                         .take_bound = s->take_bound,
                         .is_awaited = s->yield_usec > 0 ? scan_is_awaited : NULL,
                         .is_awaited_userdata = s };
        int r;

        assert_in_lane();

        t.facts = s->facts = latest_facts_get(s->latest);
        t.notes = &(GpuNotes){ shared_fd_get(s->runtime), s->facts->name };

        if (s->probe_again)
                scan_set_autoprobe_back(s, io);

        for (guint i = 0; s->reserved && i < s->reserved->len; i++)
                scan_finish_interrupted(s, &t, s->reserved->pdata[i]);

        r = s->driver->scan(&t, &s->snapshot, &s->error);
        if (s->yielded)
                return;
        if (r >= 0)
                r = lane_check(s->snapshot, &s->error);
        if (r < 0)
                return;

        instances_identify(io, s->snapshot->instances);
        if (s->doubtful)
                scan_compare_doubtful(s, io);
}

static void quick_scan_run(LaneWork *w, VgpuIo *io)
{
        Scan *s = (Scan *)w;
        VgpuTarget t = {
                .io = io, .known_types = s->known_types, .slots = s->slots, .take_bound = s->take_bound
        };

        assert_in_lane();

        t.facts = s->facts = latest_facts_get(s->latest);
        s->snapshot = gpu_snapshot_new();

        for (guint i = 0; i < s->parents->len; i++)
                s->driver->find_instances(&t, s->parents->pdata[i], s->snapshot);
}

/* ---- in the main thread ---- */

static int on_scan_deadline(sd_event_source *source, uint64_t usec, void *userdata)
{
        Scan *s = userdata;
        Gpu *gpu = s->gpu;

        s->deadline = sd_event_source_disable_unref(s->deadline);
        s->overdue = true;

        if (!gpu)
                return 0;

        g_autofree char *reason = g_strdup_printf("a scan has been blocked in the kernel for %" PRIu64 " s",
                                                  s->model->config->job_timeout_usec / USEC_PER_SEC);
        LOG_FIELDS(LOG_ERR, (.gpu = gpu_name(gpu), .message_id = VGPUD_MESSAGE_GPU_STUCK),
                   "GPU %s is stuck: %s", gpu_name(gpu), reason);
        gpu_set_stuck(gpu, reason, NULL);
        queue_cancel_waiting(gpu, VGPUD_ERROR_GPU_STUCK, reason);

        return 0;
}

static void scan_started(LaneWork *w)
{
        Scan *s = (Scan *)w;
        int r = sd_event_add_time_relative(s->model->event, &s->deadline, CLOCK_MONOTONIC,
                                           s->model->config->job_timeout_usec, 10 * USEC_PER_MSEC,
                                           on_scan_deadline, s);

        if (r < 0)
                log_warning_errno(
                                r,
                                "Cannot set a deadline for the scan of GPU %s, continuing without a deadline: %m",
                                s->gpu ? gpu_name(s->gpu) : "(gone)");
}

/* Decide about the records in doubt, not about the devices: keep the record of vgpud's own device, and forget
 * the record if the device is another program's. The device is foreign then. */
static void scan_end_doubts(const Scan *s, const Gpu *gpu)
{
        GHashTableIter iter;
        const DoubtfulDevice *d;

        if (!s->doubtful || !s->snapshot)
                return;

        g_hash_table_iter_init(&iter, s->doubtful);
        while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&d)) {
                /* Leave this record in doubt: a later scan decides, when the device has gone or the
                 * parent can be read again. */
                if (d->is_going || (!d->is_seen && !d->has_slot && gpu_snapshot_is_partial(s->snapshot)))
                        continue;

                if (!d->is_other) {
                        records_note_proof(gpu->model->records, d->uuid, d->proof);
                        records_end_doubt(gpu->model->records, d->uuid);
                        continue;
                }

                if (d->identity != 0)
                        LOG_FIELDS(LOG_NOTICE, (.gpu = gpu_name(gpu), .instance = d->uuid),
                                   "Another program created the device %s of GPU %s, so it is not vgpud's instance of this UUID",
                                   d->uuid, gpu_name(gpu));
                else
                        apply_log_unproven(gpu, d->uuid);
                defined_forget_record(gpu->model, d->uuid);
        }
}

static void scan_submit(Gpu *gpu, uint64_t yield_usec);

static void scan_done(LaneWork *w)
{
        Scan *s = (Scan *)w;
        Gpu *gpu = s->gpu;

        if (!gpu) {
                scan_free(s);
                return;
        }

        gpu->scan = NULL;
        if (s->probed_again)
                gpu->probe_again = false;

        if (s->yielded) {
                gpu_set_answered(gpu);
                gpu->scan_again = false;
                scan_submit(gpu, s->yield_usec);
        } else if (!gpu_facts_equal(s->facts, gpu->facts)) {
                gpu_set_answered(gpu);
                gpu->scan_again = true; /* the snapshot may be stale */
        } else if (s->snapshot) {
                scan_end_doubts(s, gpu);
                apply_snapshot(gpu, s->snapshot);
        } else
                apply_scan_failure(gpu, &s->error);

        if (gpu->scan_again) {
                gpu->scan_again = false;
                gpu_want_scan(gpu, GPU_SCAN_SOON);
        }

        scan_free(s);
}

/* The slots whose interrupted work the first scan of a GPU finishes; NULL: none. */
static GPtrArray *scan_find_reserved(const Gpu *gpu)
{
        g_autoptr(GPtrArray) uuids = records_of_gpu(gpu->model->records, gpu_name(gpu));
        g_autoptr(GPtrArray) reserved = g_ptr_array_new_with_free_func(reserved_slot_free);

        if (!gpu->driver->finish_interrupted || gpu->state != GPU_NEW)
                return NULL;

        for (guint i = 0; i < uuids->len; i++) {
                const Record *record = records_get(gpu->model->records, uuids->pdata[i]);

                if (!record->slot || !record->restore)
                        continue;

                ReservedSlot *r = g_new(ReservedSlot, 1);
                *r = (ReservedSlot){ .slot = g_strdup(record->slot),
                                     .restore = g_strdup(record->restore),
                                     .identity = record->identity,
                                     .in_progress = !record->made || record->removing };
                memcpy(r->uuid, record->uuid, sizeof r->uuid);
                g_ptr_array_add(reserved, r);
        }

        return reserved->len > 0 ? g_steal_pointer(&reserved) : NULL;
}

static GHashTable *scan_find_doubtful(const Gpu *gpu)
{
        g_autoptr(GPtrArray) uuids = records_of_gpu(gpu->model->records, gpu_name(gpu));
        GHashTable *doubtful = NULL;

        for (guint i = 0; i < uuids->len; i++) {
                const Record *record = records_get(gpu->model->records, uuids->pdata[i]);
                DoubtfulDevice *d;

                if (!record->in_doubt)
                        continue;

                d = g_new0(DoubtfulDevice, 1);
                *d = (DoubtfulDevice){ .has_slot = record->slot, .identity = record->identity };
                memcpy(d->uuid, record->uuid, sizeof d->uuid);

                if (!doubtful)
                        doubtful = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, g_free);
                g_hash_table_insert(doubtful, d->uuid, d);
        }

        return doubtful;
}

static Scan *scan_new(Gpu *gpu)
{
        Scan *s = g_new0(Scan, 1);

        *s = (Scan){
                .work = { .started = scan_started },
                .model = gpu->model,
                .gpu = gpu,
                .driver = gpu->driver,
                .latest = latest_facts_ref(gpu->latest),
                .known_types = known_types_get(gpu->model->known_types, gpu->facts),
                .slots = vgpu_slots_ref(gpu->slots),
                .take_bound = rules_take_bound(gpu),
                .runtime = shared_fd_ref(gpu->model->runtime),
        };

        return s;
}

/* Start a scan. `yield_usec`: that of the scan that gave way; 0: a new scan. The first scan of a GPU, and a
 * scan that restores autoprobe, do not give way. */
static void scan_submit(Gpu *gpu, uint64_t yield_usec)
{
        Scan *s;

        if (gpu->scan) {
                gpu->scan_again = true;
                return;
        }

        /* While an operation is stuck, start no scan: a scan follows when the operation returns. */
        if (gpu->state == GPU_STUCK || gpu->model->stopping)
                return;

        s = scan_new(gpu);
        s->work.run = scan_run;
        s->work.done = scan_done;
        s->records = records_directory(gpu->model->records);
        s->probe_again = gpu->probe_again;
        s->reserved = scan_find_reserved(gpu);
        s->doubtful = scan_find_doubtful(gpu);
        if (gpu->state != GPU_NEW && !s->probe_again)
                s->yield_usec = yield_usec > 0 ? yield_usec : now_monotonic_usec() + SCAN_YIELD_USEC;
        gpu->scan = s;
        lane_submit(gpu->lane, &s->work);
}

static void on_gpu_debounced(void *userdata)
{
        scan_submit(userdata, 0);
}

void scan_start_wanted(Gpu *gpu)
{
        GpuScanWish when = gpu->wanted_scan;

        assert_main_thread();

        gpu->wanted_scan = GPU_SCAN_NONE;

        if (when == GPU_SCAN_NONE || !gpu->lane)
                return;

        if (when == GPU_SCAN_NOW)
                scan_submit(gpu, 0);
        else
                debounce_start(&gpu->debounce, gpu->model->event,
                               when == GPU_SCAN_LATER ? SCAN_LATER_USEC : SCAN_DEBOUNCE_USEC, gpu_name(gpu),
                               on_gpu_debounced, gpu);
}

/* ---- quick scans ---- */

static void quick_scan_submit(Gpu *gpu);

static void quick_scan_add_parent(Gpu *gpu, const char *parent)
{
        if (!gpu->quick_parents)
                gpu->quick_parents = g_ptr_array_new_with_free_func(g_free);

        if (gpu->quick_parents->len < QUICK_PARENTS_MAX &&
            !g_ptr_array_find_with_equal_func(gpu->quick_parents, parent, g_str_equal, NULL))
                g_ptr_array_add(gpu->quick_parents, g_strdup(parent));
}

static void on_quick_scan_again(void *userdata)
{
        quick_scan_submit(userdata);
}

static void quick_scan_repeat(Gpu *gpu, const Scan *s)
{
        if (gpu->quick_retries++ >= QUICK_RETRIES_MAX)
                return;

        for (guint i = 0; i < s->parents->len; i++)
                quick_scan_add_parent(gpu, s->parents->pdata[i]);
        debounce_start(&gpu->quick_again, gpu->model->event, QUICK_PAUSE_USEC, gpu_name(gpu),
                       on_quick_scan_again, gpu);
}

static void quick_scan_apply(Gpu *gpu, Scan *s)
{
        ApplyParents applied = apply_parents(gpu, s->parents, s->snapshot);

        if (applied == APPLY_PARENTS_UNFINISHED) {
                quick_scan_repeat(gpu, s);
                return;
        }

        gpu->quick_retries = 0;
        if (applied == APPLY_PARENTS_UNKNOWN && !gpu_is_slow_to_scan(gpu))
                gpu_want_scan(gpu, GPU_SCAN_NOW);
}

static void quick_scan_done(LaneWork *w)
{
        Scan *s = (Scan *)w;
        Gpu *gpu = s->gpu;

        if (!gpu) {
                scan_free(s);
                return;
        }

        gpu->quick_scan = NULL;
        if (s->overdue) {
                gpu_set_answered(gpu);
                gpu_want_scan(gpu, GPU_SCAN_NOW);
        } else if (gpu_facts_equal(s->facts, gpu->facts))
                quick_scan_apply(gpu, s);

        scan_free(s);
        quick_scan_submit(gpu);
}

static void quick_scan_submit(Gpu *gpu)
{
        if (!gpu->quick_parents || gpu->quick_scan || gpu->quick_again || gpu->model->stopping)
                return;

        gpu->quick_scan = scan_new(gpu);
        gpu->quick_scan->work.run = quick_scan_run;
        gpu->quick_scan->work.done = quick_scan_done;
        gpu->quick_scan->parents = g_steal_pointer(&gpu->quick_parents);
        lane_submit(gpu->lane, &gpu->quick_scan->work);
}

void scan_parent(Gpu *gpu, const char *parent)
{
        assert_main_thread();

        if (!gpu->lane || !gpu->driver->find_instances || gpu->state != GPU_READY)
                return;

        gpu->quick_retries = 0;
        quick_scan_add_parent(gpu, parent);
        quick_scan_submit(gpu);
}

static bool quick_scan_is_of_job(const Gpu *gpu, const char *uuid)
{
        const Job *job = gpu->current;

        return job && g_ptr_array_find_with_equal_func(job->uuids, uuid, g_str_equal, NULL);
}

void scan_instance(Gpu *gpu, const char *parent, const char *uuid, bool gone)
{
        bool known = g_hash_table_contains(gpu->instances, uuid);

        assert_main_thread();

        if (gone)
                records_doubt(gpu->model->records, uuid);

        if (known == gone && !quick_scan_is_of_job(gpu, uuid))
                scan_parent(gpu, parent);
}

/* ---- end ---- */

/* Cancel the scan, or let it end without the GPU. Always returns NULL. */
static Scan *scan_cancel(Gpu *gpu, Scan *s)
{
        if (!s)
                return NULL;

        s->gpu = NULL;
        if (lane_cancel(gpu->lane, &s->work))
                scan_free(s);

        return NULL;
}

void scan_abandon(Gpu *gpu)
{
        assert_main_thread();

        gpu->debounce = debounce_free(gpu->debounce);
        gpu->quick_again = debounce_free(gpu->quick_again);
        g_clear_pointer(&gpu->quick_parents, g_ptr_array_unref);
        gpu->wanted_scan = GPU_SCAN_NONE;
        gpu->scan_again = false;
        gpu->quick_retries = 0;

        gpu->scan = scan_cancel(gpu, gpu->scan);
        gpu->quick_scan = scan_cancel(gpu, gpu->quick_scan);
}
