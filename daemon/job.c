/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "daemon/job.h"

#include <inttypes.h>
#include <string.h>

#include "base/log-ids.h"
#include "base/log.h"
#include "daemon/autoprobe.h"
#include "daemon/manager-private.h"

static const char *const job_kind_table[_JOB_KIND_MAX] = {
        [JOB_CREATE] = "create",       [JOB_DESTROY] = "destroy", [JOB_SET_VFS] = "set-vfs",
        [JOB_CONFIGURE] = "configure", [JOB_RESCAN] = "rescan",
};
DEFINE_STRING_TABLE_TO_STRING(job_kind, JobKind)

static const char *const job_state_table[_JOB_STATE_MAX] = {
        [JOB_WAITING] = "waiting", [JOB_RUNNING] = "running", [JOB_STUCK] = "stuck",
        [JOB_DONE] = "done",       [JOB_FAILED] = "failed",   [JOB_CANCELED] = "canceled",
};
DEFINE_STRING_TABLE_TO_STRING(job_state, JobState)

DEFINE_DESTROY_NOTIFY(desc_destroy, instance_desc_free)

/* ---- in the lane ---- */

/* Several at once are not begun when there is no room for all. */
static int check_room(Job *job, VgpuTarget *t)
{
        _cleanup_(gpu_snapshot_unrefp) GpuSnapshot *snapshot = NULL;
        const VgpuType *type;
        int r;

        if (job->uuids->len == 1)
                return 0; /* the back end says it better */
        type = job->known ? gpu_snapshot_find_type(job->known, job->type_id, NULL) : NULL;
        if (type && type->available >= job->uuids->len)
                return 0;
        r = job->driver->scan(t, &snapshot, &job->error);
        if (r < 0)
                return r;
        type = gpu_snapshot_find_type(snapshot, job->type_id, &job->error);
        if (!type)
                return -ENOENT;
        if (type->available < job->uuids->len)
                return vgpud_error_setf(&job->error, VGPUD_ERROR_NO_CAPACITY,
                                        "there is room for %" PRIu32 " of %s on GPU %s, not for %u",
                                        type->available, type->id, job->gpu_name, job->uuids->len);
        return 0;
}

static void claim_free(gpointer p)
{
        JobClaim *c = p;

        g_free(c->slot);
        g_free(c->restore);
        g_free(c);
}

typedef struct Claimant {
        Job *job;
        const char *uuid;
} Claimant;

static int on_claim(const char *slot, const char *restore, void *userdata)
{
        const Claimant *claimant = userdata;
        JobClaim *c = g_new(JobClaim, 1);

        if (!claimant->job->claims)
                claimant->job->claims = g_ptr_array_new_with_free_func(claim_free);
        *c = (JobClaim){ .uuid = claimant->uuid, .slot = g_strdup(slot), .restore = g_strdup(restore) };
        g_ptr_array_add(claimant->job->claims, c);
        SlotClaimed *claimed = g_new(SlotClaimed, 1);
        *claimed = (SlotClaimed){ .usec = (uint64_t)g_get_monotonic_time() };
        (void)g_strlcpy(claimed->uuid, claimant->uuid, sizeof claimed->uuid);
        g_hash_table_replace(claimant->job->claimed, g_strdup(slot), claimed);
        return records_claim(claimant->job->records_fd, claimant->uuid, slot, restore);
}

static const JobClaim *find_claim(const Job *job, const char *uuid)
{
        const JobClaim *found = NULL;

        /* The last one counts: a back end that was refused may have tried another slot. */
        for (guint i = 0; job->claims && i < job->claims->len; i++) {
                const JobClaim *c = job->claims->pdata[i];
                if (strcmp(c->uuid, uuid) == 0)
                        found = c;
        }
        return found;
}

/* Each that was made before the one that could not be; those that stay are named. */
static int undo_all(Job *job, VgpuTarget *t, const GPtrArray *made, int r)
{
        g_autoptr(GString) left = g_string_new(NULL);

        for (guint i = 0; i < made->len; i++) {
                _cleanup_vgpud_error_ VgpudError undo = VGPUD_ERROR_INIT;
                InstanceDesc *desc = made->pdata[i];
                const JobClaim *claim = find_claim(job, desc->uuid);

                if (claim && !desc->restore)
                        desc->restore = g_strdup(claim->restore);
                if (job->driver->destroy(t, desc, &undo) < 0)
                        g_string_append_printf(left, "; removing %s again failed as well: %s", desc->uuid,
                                               undo.message);
        }
        if (left->len == 0)
                return r;
        _cleanup_vgpud_error_ VgpudError first = VGPUD_ERROR_INIT;
        vgpud_error_move(&first, &job->error);
        return vgpud_error_setf(&job->error, VGPUD_ERROR_INCONSISTENT, "%s%s", first.message, left->str);
}

/* All or none: what stands when one cannot be made is removed again. */
static int run_create(Job *job, VgpuTarget *t)
{
        g_autoptr(GPtrArray) made = g_ptr_array_new_with_free_func(desc_destroy);
        int r = check_room(job, t);

        for (guint i = 0; i < job->uuids->len && r >= 0; i++) {
                Claimant claimant = { .job = job, .uuid = job->uuids->pdata[i] };
                CreateArgs args = {
                        .uuid = job->uuids->pdata[i],
                        .type_id = job->type_id,
                        .parent = job->parent,
                        .count = job->uuids->len,
                        .attributes = job->attributes,
                        .claim = on_claim,
                        .claim_userdata = &claimant,
                };
                InstanceDesc *desc = NULL;
                r = job->driver->create(t, &args, &desc, &job->error);
                if (desc)
                        g_ptr_array_add(made, desc);
        }
        if (r >= 0) {
                instances_identify(t->io, made);
                job->made = g_steal_pointer(&made);
                return 0;
        }

        return undo_all(job, t, made, r);
}

/* Marked is what is 1 right before: it may be somebody's wish that it is 0, or the mark is an earlier job's,
 * which could not set it back. */
static void run_set_vfs(Job *job, VgpuTarget *t)
{
        g_autofree char *value = NULL;
        bool marked = vgpu_io_readf(t->io, &value, "%s/sriov_drivers_autoprobe", t->facts->path) >= 0 &&
                      strcmp(value, "1") == 0;

        if (marked)
                autoprobe_mark(job->runtime_fd, job->gpu_name);
        (void)job->driver->set_vfs(t, job->vfs, &job->vfs_now, &job->error);
        job->probe_again = marked && job->error.code == VGPUD_ERROR_INCONSISTENT;
        if (marked && !job->probe_again)
                autoprobe_unmark(job->runtime_fd, job->gpu_name);
}

/* Which functions there are now, and with them perhaps another back end. */
static void read_facts_again(Job *job, VgpuIo *io)
{
        const GpuFacts *f = job->facts;
        GpuSeed seed = {
                .name = f->name,
                .path = f->path,
                .vendor_name = f->vendor_name,
                .device_name = f->device_name,
                .admitted = f->features & VGPU_FEATURE_ADMITTED,
                .began_usec = (uint64_t)g_get_monotonic_time(),
        };
        g_autoptr(GPtrArray) parents = NULL;
        g_autofree char *reason = NULL;

        if (mdev_parents_read(io, &parents) < 0 || gpu_facts_read(io, &seed, parents, &job->facts_now) < 0)
                return;
        job->driver_now = registry_choose(job->facts_now, &reason);
}

/* What is in a slot may have been removed and made again by somebody else since the job was asked for, or since
 * the GPU was last looked at. */
static bool is_still_it(Job *job, VgpuIo *io)
{
        const InstanceDesc *d = job->instance;
        uint64_t now;

        if (!d->slot || d->identity == 0 || vgpu_io_identify(io, d->path, &now) < 0 || now == d->identity)
                return true;
        (void)vgpud_error_setf(
                        &job->error, VGPUD_ERROR_FOREIGN,
                        "%s of GPU %s is not what instance %s was made of any more: it was removed and made "
                        "again by somebody else, and is left alone",
                        d->slot, job->gpu_name, d->uuid);
        return false;
}

/* Somebody else has removed it, and what is in its slot now was made by us since then, while the job waited: it
 * is gone already. */
static bool is_replaced(const Job *job)
{
        const InstanceDesc *d = job->instance;
        const SlotClaimed *claimed = d->slot ? g_hash_table_lookup(job->claimed, d->slot) : NULL;

        return claimed && claimed->usec > job->known_usec && strcmp(claimed->uuid, d->uuid) != 0;
}

static void job_run(LaneWork *w, VgpuIo *io)
{
        Job *job = (Job *)w;
        const GpuNotes notes = { job->runtime_fd, job->gpu_name };
        VgpuTarget t = { .io = io, .known_types = job->known_types, .notes = &notes };
        const VgpuDriver *driver = job->driver;
        _cleanup_vgpud_error_ VgpudError scan_error = VGPUD_ERROR_INIT;

        t.facts = job->facts = latest_facts_get(job->latest);
        job->began_usec = (uint64_t)g_get_monotonic_time();
        switch (job->kind) {
        case JOB_CREATE:
                (void)run_create(job, &t);
                break;
        case JOB_DESTROY:
                if (!is_replaced(job) && is_still_it(job, io))
                        (void)job->driver->destroy(&t, job->instance, &job->error);
                break;
        case JOB_SET_VFS:
                run_set_vfs(job, &t);
                read_facts_again(job, io);
                if (!job->facts_now || !job->driver_now)
                        return;
                /* What comes next in this lane may come before the main thread has heard of it. */
                if (job->driver_now == driver)
                        latest_facts_offer(job->latest, job->facts_now);
                t.facts = job->facts_now;
                driver = job->driver_now;
                break;
        case JOB_CONFIGURE:
                (void)job->driver->configure(&t, job->mode, job->value, &job->error);
                break;
        case JOB_RESCAN:
                break;
        case _JOB_KIND_MAX:
        case _JOB_KIND_INVALID:
                g_assert_not_reached();
        }
        /* The answer goes out when the model shows the result, so look again in the same piece of work, or let
         * the main thread work out what a look would show. When the driver goes at this moment, it takes with
         * it what was made. */
        if (job->known && job->error.code == VGPUD_ERROR_NONE)
                return;
        if (driver->scan(&t, &job->snapshot, &scan_error) >= 0)
                instances_identify(io, job->snapshot->instances);
        else if (job->error.code == VGPUD_ERROR_NONE &&
                 (job->kind == JOB_RESCAN ||
                  (job->kind == JOB_CREATE && scan_error.code == VGPUD_ERROR_GPU_GONE)))
                vgpud_error_move(&job->error, &scan_error);
}

/* ---- in the main thread ---- */

static Instance *job_instance(Job *job)
{
        return job->kind == JOB_DESTROY ? manager_get_instance(job->manager, job->uuids->pdata[0]) : NULL;
}

static void job_tell_finished(Job *job, const VgpudError *error)
{
        JobFinished finished = g_steal_pointer(&job->finished);

        if (finished)
                finished(job, error, job->finished_userdata);
}

/* Past the deadline. Nothing can be done to a write that does not return: say so, keep what is known, and
 * refuse further work on this GPU until it comes back. */
static int on_deadline(sd_event_source *source, uint64_t usec, void *userdata)
{
        Job *job = userdata;
        Gpu *gpu = job->gpu;
        Instance *instance = job_instance(job);

        job->deadline = sd_event_source_disable_unref(job->deadline);
        job->state = JOB_STUCK;
        g_autofree char *reason = g_strdup_printf(
                        "job %" PRIu32 " (%s) has not come back from the kernel for %" PRIu64 " s", job->id,
                        job_kind_to_string(job->kind), job->timeout_usec / USEC_PER_SEC);
        LOG_FIELDS(LOG_ERR, (.gpu = job->gpu_name, .job = job->id, .message_id = VGPUD_MESSAGE_GPU_STUCK),
                   "GPU %s is stuck: %s", job->gpu_name, reason);

        if (instance) {
                instance->state = INSTANCE_STUCK;
                MANAGER_EMIT(job->manager, instance_changed, instance, INSTANCE_CHANGED_STATE);
        }
        if (gpu)
                gpu_set_state(gpu, GPU_STUCK, reason);
        MANAGER_EMIT(job->manager, job_changed, job);

        /* Whoever waits gets an answer now. */
        _cleanup_vgpud_error_ VgpudError error = VGPUD_ERROR_INIT;
        (void)vgpud_error_setf(&error, VGPUD_ERROR_GPU_STUCK,
                               "GPU %s: %s; what it was to do may still happen, or not", job->gpu_name, reason);
        job_tell_finished(job, &error);
        if (gpu)
                gpu_cancel_waiting(gpu, VGPUD_ERROR_GPU_STUCK, reason);
        return 0;
}

static void job_started(LaneWork *w)
{
        Job *job = (Job *)w;
        int r;

        job->state = JOB_RUNNING;
        job->started_usec = manager_now_realtime();
        if (job->gpu) {
                g_queue_remove(&job->gpu->waiting, job);
                job->gpu->current = job;
                MANAGER_EMIT(job->manager, gpu_changed, job->gpu, GPU_CHANGED_JOB);
        }
        MANAGER_EMIT(job->manager, job_changed, job);
        r = sd_event_add_time_relative(job->manager->event, &job->deadline, CLOCK_MONOTONIC, job->timeout_usec,
                                       10 * USEC_PER_MSEC, on_deadline, job);
        if (r < 0)
                LOG_FIELDS(LOG_WARNING, (.job = job->id, .error = r),
                           "Cannot set the deadline of job %" PRIu32 ": %m", job->id);
}

/* Until somebody has looked. */
static void know_nothing(GpuSnapshot *s)
{
        for (guint i = 0; i < s->types->len; i++) {
                VgpuType *t = s->types->pdata[i];
                t->available = 0;
                g_free(t->why_not);
                t->why_not = g_strdup("the GPU has changed, and is being looked at");
        }
}

/* Puts what was made or removed into the model when the job has not looked at the GPU, with what follows of it.
 * A look comes after it all the same. */
static void job_amend_snapshot(Job *job)
{
        Gpu *gpu = job->gpu;
        bool changed_one = job->kind == JOB_CREATE || job->kind == JOB_DESTROY;

        /* What it saw when it looked may not be so any more: others have changed the GPU meanwhile. */
        if (job->snapshot && !gpu_facts_equal(job->facts_now ? job->facts_now : job->facts, gpu->facts))
                job->snapshot = gpu_snapshot_unref(job->snapshot);
        if (job->snapshot || !changed_one || job->error.code != VGPUD_ERROR_NONE || !gpu->snapshot)
                return;
        job->snapshot = gpu_snapshot_amend(gpu->snapshot, job->made,
                                           job->instance ? job->instance->uuid : NULL);
        /* What it did is what the GPU answered to. */
        job->snapshot->began_usec = MAX(job->snapshot->began_usec, job->began_usec);
        /* It could when the job was made; modes may have changed since. */
        if (!gpu->driver->amend || !gpu->driver->amend(gpu->facts, gpu->snapshot, job->snapshot))
                know_nothing(job->snapshot);
        gpu_request_scan(gpu, false);
}

static bool find_slot(const GpuSnapshot *s, const char *slot)
{
        for (guint i = 0; i < s->instances->len; i++)
                if (g_strcmp0(((const InstanceDesc *)s->instances->pdata[i])->slot, slot) == 0)
                        return true;
        return false;
}

/* The snapshot has not got its UUIDs yet where they are ours to give. */
static bool is_in(const GpuSnapshot *s, const InstanceDesc *d)
{
        return d->slot ? find_slot(s, d->slot) : gpu_snapshot_find_instance(s, d->uuid) != NULL;
}

/* Records follow what became of it, before the snapshot is applied: whether an instance is ours depends on
 * them. */
static void job_settle_records(Job *job)
{
        Records *records = job->manager->records;

        if (job->kind != JOB_CREATE)
                return;
        for (guint i = 0; i < job->uuids->len; i++) {
                const char *uuid = job->uuids->pdata[i];
                /* After a failed undo what is left is ours all the same, and can be destroyed as such. */
                const JobClaim *claim = find_claim(job, uuid);
                if (claim)
                        records_note_slot(records, uuid, claim->slot, claim->restore);
                bool ours = job->error.code == VGPUD_ERROR_NONE ||
                            (job->error.code == VGPUD_ERROR_INCONSISTENT && job->snapshot &&
                             (gpu_snapshot_find_instance(job->snapshot, uuid) ||
                              (claim && find_slot(job->snapshot, claim->slot))));
                int r = 0;
                if (job->made)
                        records_note_identity(records, uuid,
                                              ((const InstanceDesc *)job->made->pdata[i])->identity);
                if (ours)
                        r = records_commit(records, uuid);
                else if (job->error.code == VGPUD_ERROR_INCONSISTENT && !job->snapshot)
                        records_leave_open(records, uuid);
                else
                        records_forget(records, uuid);
                if (r < 0)
                        LOG_FIELDS(LOG_WARNING, (.instance = uuid, .job = job->id, .error = r),
                                   "Cannot write the record of %s, it will count as foreign after a restart: "
                                   "%m",
                                   uuid);
        }
}

static void job_log_setting(const Job *job, LogFields *fields)
{
        if (job->kind == JOB_SET_VFS) {
                fields->message_id = VGPUD_MESSAGE_VFS_SET;
                LOG_FULL(LOG_INFO, fields, "GPU %s has %" PRIu32 " virtual functions now", job->gpu_name,
                         job->vfs_now);
        } else if (job->kind == JOB_CONFIGURE) {
                fields->message_id = VGPUD_MESSAGE_MODE_SET;
                LOG_FULL(LOG_INFO, fields, "Mode \"%s\" of GPU %s is \"%s\" now", job->mode, job->gpu_name,
                         job->value);
        }
}

static void job_log_end(const Job *job)
{
        LogFields fields = {
                .gpu = job->gpu_name,
                .driver = job->driver->name,
                .job = job->id,
                .requester = (int64_t)job->requester + 1,
        };

        if (job->error.code != VGPUD_ERROR_NONE) {
                fields.message_id = VGPUD_MESSAGE_JOB_FAILED;
                fields.error = -job->error.errnum;
                LOG_FULL(LOG_WARNING, &fields, "Job %" PRIu32 " (%s on GPU %s) failed: %s", job->id,
                         job_kind_to_string(job->kind), job->gpu_name, job->error.message);
                return;
        }
        job_log_setting(job, &fields);
        for (guint i = 0; i < job->uuids->len; i++) {
                fields.instance = job->uuids->pdata[i];
                fields.message_id = job->kind == JOB_CREATE ? VGPUD_MESSAGE_INSTANCE_CREATED
                                                            : VGPUD_MESSAGE_INSTANCE_DESTROYED;
                if (job->kind == JOB_CREATE)
                        LOG_FULL(LOG_INFO, &fields, "Created instance %s of type %s on GPU %s", fields.instance,
                                 job->type_id, job->gpu_name);
                else
                        LOG_FULL(LOG_INFO, &fields, "Destroyed instance %s on GPU %s", fields.instance,
                                 job->gpu_name);
        }
}

/* The virtual functions come and go before their GPU's snapshot changes with them. */
static void job_apply_facts(Job *job, Gpu *gpu)
{
        if (job->facts_now)
                gpu_update_facts(gpu, job->facts_now);
        if (job->snapshot && gpu->driver != job->driver_now)
                job->snapshot = gpu_snapshot_unref(job->snapshot);
        if (!job->facts_now || gpu->facts_later)
                inventory_request(job->manager->inventory);
        gpu->facts_later = false;
}

/* GPUs that are linked with each other may change together (AMD's by XGMI), and no event tells of it. */
static void scan_alike(const Job *job, const Gpu *gpu)
{
        GHashTableIter iter;
        Gpu *other;

        g_hash_table_iter_init(&iter, job->manager->gpus);
        while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&other))
                if (other != gpu && other->driver == gpu->driver)
                        gpu_request_scan(other, false);
}

static void job_done(LaneWork *w)
{
        Job *job = (Job *)w;
        Gpu *gpu = job->gpu;
        Instance *instance = job_instance(job);

        job->deadline = sd_event_source_disable_unref(job->deadline);
        if (job->state == JOB_WAITING && gpu)
                g_queue_remove(&gpu->waiting, job); /* it began and ended between two turns of the loop */
        /* What has been made is ours also when its GPU has left the model meanwhile: it may be back already,
         * with the instance. */
        job_settle_records(job);
        if (!gpu && job->error.code == VGPUD_ERROR_NONE && job->kind != JOB_DESTROY)
                (void)vgpud_error_setf(&job->error, VGPUD_ERROR_GPU_GONE, "GPU %s went away", job->gpu_name);

        if (instance && instance->job == job) {
                unsigned changes = INSTANCE_CHANGED_JOB;
                instance->job = NULL;
                if (job->undo)
                        instance->undo_usec = (uint64_t)g_get_monotonic_time();
                /* Its removal may have ended in an error, and it is gone all the same. */
                instance->leaving = job->error.code == VGPUD_ERROR_NONE ||
                                    (job->snapshot && !is_in(job->snapshot, instance->desc));
                if (instance_update_state(instance, false))
                        changes |= INSTANCE_CHANGED_STATE;
                MANAGER_EMIT(job->manager, instance_changed, instance, changes);
        }
        if (gpu) {
                gpu->current = NULL;
                if (job->kind == JOB_SET_VFS)
                        job_apply_facts(job, gpu);
                job_amend_snapshot(job);
                if (job->kind == JOB_RESCAN)
                        gpu_undo_again(gpu);
                if (job->snapshot)
                        gpu_apply_snapshot(gpu, job->snapshot);
                else {
                        gpu_has_answered(gpu);
                        gpu_request_scan(gpu, true);
                }
                MANAGER_EMIT(job->manager, gpu_changed, gpu, GPU_CHANGED_JOB);
                if (job->kind == JOB_CONFIGURE)
                        scan_alike(job, gpu);
                if (job->probe_again) {
                        gpu->probe_again = true;
                        gpu_request_scan(gpu, false);
                }
        }
        job_log_end(job);
        job_end(job, job->error.code == VGPUD_ERROR_NONE ? JOB_DONE : JOB_FAILED);
}

Job *job_new(Manager *m, JobKind kind, Gpu *gpu, uid_t requester, uint64_t timeout_usec)
{
        Job *job = g_new0(Job, 1);

        *job = (Job){
                .work = { .run = job_run, .done = job_done, .started = job_started },
                .manager = m,
                .id = ++m->last_job_id,
                .kind = kind,
                .state = JOB_WAITING,
                .gpu = gpu,
                .gpu_name = g_strdup(gpu_name(gpu)),
                .requester = requester,
                .created_usec = manager_now_realtime(),
                .timeout_usec = timeout_usec > 0 ? timeout_usec : m->config->job_timeout_usec,
                .driver = gpu->driver,
                .latest = latest_facts_ref(gpu->latest),
                .uuids = g_ptr_array_new_with_free_func(g_free),
                .known_types = known_types_get(m->known_types, gpu->facts),
                .records_fd = records_dirfd(m->records),
                .claimed = g_hash_table_ref(gpu->claimed),
                .known_usec = gpu->snapshot ? gpu->snapshot->began_usec : 0,
                .runtime_fd = m->runtime_fd,
                .known = (kind == JOB_CREATE || kind == JOB_DESTROY) && gpu_scan_can_wait(gpu)
                                         ? gpu_snapshot_ref(gpu->snapshot)
                                         : NULL,
        };
        return job;
}

Job *job_free(Job *job)
{
        if (!job)
                return NULL;
        sd_event_source_disable_unref(job->deadline);
        g_free(job->gpu_name);
        latest_facts_unref(job->latest);
        gpu_facts_unref(job->facts);
        g_ptr_array_unref(job->uuids);
        g_free(job->type_id);
        g_free(job->parent);
        g_free(job->name);
        g_free(job->mode);
        g_free(job->value);
        g_ptr_array_unref(job->known_types);
        g_hash_table_unref(job->claimed);
        if (job->claims)
                g_ptr_array_unref(job->claims);
        gpu_facts_unref(job->facts_now);
        if (job->attributes)
                g_ptr_array_unref(job->attributes);
        instance_desc_free(job->instance);
        gpu_snapshot_unref(job->known);
        gpu_snapshot_unref(job->snapshot);
        if (job->made)
                g_ptr_array_unref(job->made);
        vgpud_error_done(&job->error);
        g_free(job);
        return NULL;
}

void job_end(Job *job, JobState state)
{
        job->state = state;
        /* Of what has gone there is no record any more. */
        if (job->kind == JOB_DESTROY)
                records_mark_removing(job->manager->records, job->uuids->pdata[0], false);
        job_tell_finished(job, &job->error);
        manager_end_job(job->manager, job);
}

void job_abandon(Job *job, const char *message)
{
        _cleanup_vgpud_error_ VgpudError error = VGPUD_ERROR_INIT;

        (void)vgpud_error_setf(&error, VGPUD_ERROR_CANCELED, "%s", message);
        job_tell_finished(job, &error);
}

void job_on_finished(Job *job, JobFinished finished, void *userdata)
{
        job->finished = finished;
        job->finished_userdata = userdata;
}

bool job_makes(const Job *job, const char *uuid)
{
        for (guint i = 0; job->kind == JOB_CREATE && i < job->uuids->len; i++)
                if (strcmp(job->uuids->pdata[i], uuid) == 0)
                        return true;
        return false;
}

int job_drop(Job *job, JobState state, VgpudErrorCode code, const char *message)
{
        Gpu *gpu = job->gpu;
        Instance *instance = job_instance(job);

        if (job->state != JOB_WAITING || !gpu || !lane_cancel(gpu->lane, &job->work))
                return -EBUSY;
        g_queue_remove(&gpu->waiting, job);
        (void)vgpud_error_setf(&job->error, code, "%s", message);
        job_settle_records(job);
        if (instance && instance->job == job) {
                instance->job = NULL;
                MANAGER_EMIT(job->manager, instance_changed, instance, INSTANCE_CHANGED_JOB);
        }
        MANAGER_EMIT(job->manager, gpu_changed, gpu, GPU_CHANGED_JOB);
        job_end(job, state);
        return 0;
}

int job_cancel(Job *job, VgpudError *reterr)
{
        uint32_t id = job->id;
        g_autofree char *message = g_strdup_printf("job %" PRIu32 " was cancelled before it began", id);

        if (job_drop(job, JOB_CANCELED, VGPUD_ERROR_CANCELED, message) < 0)
                return vgpud_error_setf(reterr, VGPUD_ERROR_IN_USE,
                                        "job %" PRIu32 " runs already, and nothing can call the kernel back",
                                        id);
        return 0;
}
