/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "daemon/work/job-create.h"

#include <inttypes.h>
#include <string.h>

#include "base/log-ids.h"
#include "base/thread.h"
#include "base/time-util.h"
#include "daemon/model/defined.h"
#include "daemon/model/gpu.h"
#include "daemon/model/instance.h"
#include "daemon/model/model.h"
#include "daemon/store/records.h"
#include "drivers-glue/problem.h"
#include "drivers-glue/explain.h"
#include "drivers-glue/type-find.h"

DEFINE_DESTROY_NOTIFY(job_create_destroy_desc, instance_desc_free)
static JobCreate *job_create(Job *job)
{
        g_assert(job->kind == &job_kind_create);
        return (JobCreate *)job;
}

static const JobCreate *job_create_const(const Job *job)
{
        g_assert(job->kind == &job_kind_create);
        return (const JobCreate *)job;
}

/* ---- in the lane ---- */

/* Check, before the first of several instances is created, that the GPU has room for all of them. */
static int job_create_check_room(JobCreate *c, VgpuTarget *t)
{
        _cleanup_(gpu_snapshot_unrefp) GpuSnapshot *snapshot = NULL;
        Job *job = &c->job;
        const VgpuType *type;
        int r;

        if (job->uuids->len == 1)
                return 0; /* create() checks by itself, and explains a refusal better */

        type = c->known ? gpu_snapshot_look_up_type(c->known, c->type_id, NULL) : NULL;
        if (type && type->available >= job->uuids->len)
                return 0;

        r = job->driver->scan(t, &snapshot, &job->error);
        if (r < 0)
                return r;

        type = gpu_snapshot_find_type(snapshot, c->type_id, &job->error);
        if (!type)
                return -ENOENT;
        if (type->available >= job->uuids->len)
                return 0;

        r = vgpud_error_setf(&job->error, VGPUD_ERROR_NO_CAPACITY,
                             "there is room for %" PRIu32 " of %s on GPU %s, not for %u", type->available,
                             type->id, job->gpu_name, job->uuids->len);
        explain_alternatives(snapshot, type->id, &job->error);

        return r;
}

static void job_create_free_reservation(gpointer p)
{
        JobReservation *r = p;

        g_free(r->slot);
        g_free(r->restore);
        g_free(r);
}

typedef struct Reserver {
        JobCreate *create;
        VgpuTarget *target;
        const char *uuid;
} Reserver;

/* Make the record of instance `i`, with texts borrowed from the job. Any thread may call this, because the
 * input of a job does not change. */
static Record job_create_make_record(const JobCreate *c, guint i)
{
        const Job *job = &c->job;
        Record record = {
                .gpu = job->gpu_name,
                .type_id = c->type_id,
                .name = c->name,
                .owner = c->owner,
                .created_usec = job->created_usec,
                .undo = c->undo,
                .attributes = c->attributes,
                .definition = c->definition,
                .kept = c->kept,
        };

        memcpy(record.uuid, job->uuids->pdata[i], sizeof record.uuid);
        if (job->uuids->len > 1)
                memcpy(record.first, job->uuids->pdata[0], sizeof record.first);

        return record;
}

/* Write the record right before the first write to the kernel for this instance: a job that only waits leaves
 * nothing behind. Returns the open record, for the proof of the write. */
static int job_create_begin(JobCreate *c, guint i)
{
        Record record;
        int r;

        assert_in_lane();

        record = job_create_make_record(c, i);
        r = records_begin(shared_fd_get(c->records), &record);
        if (r >= 0)
                r = records_open_witness(shared_fd_get(c->records), record.uuid);
        if (r < 0)
                return vgpud_error_set_errnof(&c->job.error, VGPUD_ERROR_FAILED, r,
                                              "cannot write the record of instance %s: %s", record.uuid,
                                              g_strerror(-r));

        return r;
}

/* The identity of the VF that is the slot; 0: not known, or the slot is no VF. */
static uint64_t job_create_identify_slot(VgpuTarget *t, const char *slot)
{
        const VgpuVf *vf = gpu_facts_find_vf(t->facts, slot);
        uint64_t identity;

        return vf && vgpu_io_identify(t->io, vf->path, &identity) >= 0 ? identity : 0;
}

/* Keep the identity of each new instance in the job. An instance in a slot has its identity in `made`, too. */
static void job_create_identify(JobCreate *c, VgpuIo *io)
{
        instances_identify(io, c->made);
        c->identities = g_array_sized_new(false, false, sizeof(uint64_t), c->made->len);

        for (guint i = 0; i < c->made->len; i++) {
                const InstanceDesc *d = c->made->pdata[i];
                uint64_t identity = d->identity;

                if (!d->slot && vgpu_io_identify(io, d->path, &identity) < 0)
                        identity = 0;
                g_array_append_val(c->identities, identity);
        }
}

/* After a failed rollback, keep the proofs that vgpud-write appended to the records. */
static void job_create_read_proofs(JobCreate *c)
{
        c->identities = g_array_sized_new(false, false, sizeof(uint64_t), c->job.uuids->len);

        for (guint i = 0; i < c->job.uuids->len; i++) {
                uint64_t identity = records_read_proof(shared_fd_get(c->records), c->job.uuids->pdata[i]);

                g_array_append_val(c->identities, identity);
        }
}

static int job_create_reserve(const char *slot, const char *restore, void *userdata)
{
        const Reserver *reserver = userdata;
        JobCreate *c = reserver->create;
        uint64_t identity = job_create_identify_slot(reserver->target, slot);
        JobReservation *r = g_new(JobReservation, 1);
        SlotReserved *reserved = g_new(SlotReserved, 1);

        assert_in_lane();

        if (!c->reservations)
                c->reservations = g_ptr_array_new_with_free_func(job_create_free_reservation);
        *r = (JobReservation){ .uuid = reserver->uuid, .slot = g_strdup(slot), .restore = g_strdup(restore) };
        g_ptr_array_add(c->reservations, r);

        *reserved = (SlotReserved){ .usec = now_monotonic_usec() };
        (void)g_strlcpy(reserved->uuid, reserver->uuid, sizeof reserved->uuid);
        g_hash_table_replace(c->job.reserved, g_strdup(slot), reserved);

        vgpu_slots_add(c->job.slots, reserver->uuid, slot, identity);

        return records_reserve(shared_fd_get(c->records), reserver->uuid, slot, restore, identity);
}

/* The last reservation counts: a back end may try another slot after a failure. */
static const JobReservation *job_create_find_reservation(const JobCreate *c, const char *uuid)
{
        const JobReservation *found = NULL;

        for (guint i = 0; c->reservations && i < c->reservations->len; i++) {
                const JobReservation *r = c->reservations->pdata[i];

                if (strcmp(r->uuid, uuid) == 0)
                        found = r;
        }

        return found;
}

/* Roll back: destroy the instances created before the failure, and name those that remain. */
static void job_create_roll_back(JobCreate *c, VgpuTarget *t, const GPtrArray *made)
{
        g_autoptr(GString) left = g_string_new(NULL);
        Job *job = &c->job;

        for (guint i = 0; i < made->len; i++) {
                _cleanup_vgpud_error_ VgpudError undo = VGPUD_ERROR_INIT;
                InstanceDesc *desc = made->pdata[i];
                const JobReservation *r = job_create_find_reservation(c, desc->uuid);

                if (r && !desc->restore)
                        desc->restore = g_strdup(r->restore);
                if (job->driver->destroy(t, desc, &undo) < 0)
                        g_string_append_printf(left, "; rollback of %s failed: %s", desc->uuid, undo.message);
                else
                        vgpu_slots_remove(job->slots, desc->uuid);
        }

        if (left->len == 0)
                return;

        _cleanup_vgpud_error_ VgpudError first = VGPUD_ERROR_INIT;
        vgpud_error_move(&first, &job->error);
        (void)vgpud_error_setf(&job->error, VGPUD_ERROR_INCONSISTENT, "%s%s", first.message, left->str);
        vgpud_error_hintf(&job->error, VGPUD_HINT_REMOVE_BY_HAND, "destroy the instances that are left");
}

static void job_create_run(Job *job, VgpuTarget *t)
{
        JobCreate *c = job_create(job);
        g_autoptr(GPtrArray) made = g_ptr_array_new_with_free_func(job_create_destroy_desc);
        int r;

        assert_in_lane();

        r = job_create_check_room(c, t);

        for (guint i = 0; i < job->uuids->len && r >= 0; i++) {
                Reserver reserver = { .create = c, .target = t, .uuid = job->uuids->pdata[i] };
                _cleanup_close_ int record_fd = -EBADF;
                CreateArgs args = {
                        .uuid = job->uuids->pdata[i],
                        .type_id = c->type_id,
                        .parent = c->parent,
                        .count = job->uuids->len,
                        .attributes = c->attributes,
                        .reserve = job_create_reserve,
                        .reserve_userdata = &reserver,
                        .record_fd = &record_fd,
                };
                InstanceDesc *desc = NULL;

                r = record_fd = job_create_begin(c, i);
                if (r < 0)
                        break;

                r = job->driver->create(t, &args, &desc, &job->error);
                if (r < 0 && job->error.code != VGPUD_ERROR_INCONSISTENT)
                        vgpu_slots_remove(job->slots, args.uuid);
                if (r >= 0)
                        r = lane_check(desc && strcmp(desc->uuid, args.uuid) == 0, &job->error);
                if (desc)
                        g_ptr_array_add(made, desc);
        }

        if (r < 0) {
                job_create_roll_back(c, t, made);
                if (job->error.code == VGPUD_ERROR_INCONSISTENT)
                        job_create_read_proofs(c);
                return;
        }

        c->made = g_steal_pointer(&made);
        job_create_identify(c, t->io);
}

/* ---- in the main thread ---- */

int job_create_add_records(Job *job, VgpudError *reterr)
{
        const JobCreate *c = job_create(job);
        Records *records = job->model->records;
        int r = 0;

        assert_main_thread();

        for (guint i = 0; i < job->uuids->len && r >= 0; i++) {
                Record record = job_create_make_record(c, i);

                if (c->kept)
                        r = records_put(records, &record);
                else
                        records_add(records, &record);
        }

        if (r >= 0)
                return 0;

        job_create_forget_records(job);

        return vgpud_error_set_errnof(reterr, VGPUD_ERROR_FAILED, r,
                                      "cannot write the records of the instances: %s", g_strerror(-r));
}

void job_create_forget_records(Job *job)
{
        assert_main_thread();

        for (guint i = 0; i < job->uuids->len; i++)
                records_forget(job->model->records, job->uuids->pdata[i]);
}

/* True if the rollback failed and the instance exists. Such an instance keeps its record and stays vgpud's own,
 * so that its owner can destroy it. */
static bool job_create_left(const JobCreate *c, const char *uuid, const JobReservation *r)
{
        const GpuSnapshot *snapshot = c->job.snapshot;

        return c->job.error.code == VGPUD_ERROR_INCONSISTENT && snapshot &&
               (gpu_snapshot_find_instance(snapshot, uuid) || (r && gpu_snapshot_has_slot(snapshot, r->slot)));
}

/* If the GPU went away during the job and returned, add the slot to the new Gpu, which does not have it yet. */
static void job_create_note_slot(const Job *job, const JobReservation *r)
{
        const Gpu *gpu = model_get_gpu(job->model, job->gpu_name);
        const Record *record = records_get(job->model->records, r->uuid);

        if (gpu && gpu != job->gpu && record)
                vgpu_slots_add(gpu->slots, r->uuid, r->slot, record->identity);
}

/* Runs before the snapshot is applied: the origin of an instance depends on its record. */
static void job_create_update_records(Job *job)
{
        JobCreate *c = job_create(job);
        Records *records = job->model->records;

        for (guint i = 0; i < job->uuids->len; i++) {
                const char *uuid = job->uuids->pdata[i];
                const JobReservation *reservation = job_create_find_reservation(c, uuid);
                int r = 0;

                if (reservation)
                        records_note_slot(records, uuid, reservation->slot, reservation->restore);
                if (c->identities)
                        records_note_identity(records, uuid, g_array_index(c->identities, uint64_t, i));

                if (job->error.code == VGPUD_ERROR_NONE || job_create_left(c, uuid, reservation))
                        r = records_commit(records, uuid);
                else if (job->error.code == VGPUD_ERROR_INCONSISTENT &&
                         (!job->snapshot || gpu_snapshot_is_partial(job->snapshot)))
                        records_leave_open(records, uuid);
                else
                        defined_forget_record(job->model, uuid);

                if (reservation)
                        job_create_note_slot(job, reservation);
                if (r < 0)
                        LOG_FIELDS(LOG_WARNING, (.instance = uuid, .job = job->id, .error = r),
                                   "Cannot mark the record of instance %s as made, so a restarted vgpud may remove the instance: %m",
                                   uuid);
        }
}

static bool job_create_predict(Job *job, const Gpu *gpu, GpuSnapshot **ret)
{
        *ret = gpu_snapshot_predict(gpu->snapshot, job_create(job)->made, NULL);
        return true;
}

static void job_create_log(const Job *job, LogFields *fields)
{
        const JobCreate *c = job_create_const(job);

        fields->message_id = VGPUD_MESSAGE_INSTANCE_CREATED;

        for (guint i = 0; i < job->uuids->len; i++) {
                fields->instance = job->uuids->pdata[i];
                LOG_FULL(LOG_INFO, fields, "Created instance %s of type %s on GPU %s", fields->instance,
                         c->type_id, job->gpu_name);
        }
}

static size_t job_create_describe(const Job *job, JobDetail ret[static JOB_DETAILS_MAX])
{
        ret[0] = (JobDetail){ .name = "type", .text = job_create_const(job)->type_id };
        ret[1] = (JobDetail){ .name = "count", .kind = JOB_DETAIL_NUMBER, .number = job->uuids->len };
        return 2;
}

static void job_create_done(Job *job)
{
        JobCreate *c = job_create(job);

        g_free(c->type_id);
        g_free(c->parent);
        g_free(c->name);
        g_free(c->definition);
        g_ptr_array_unref(c->attributes);
        shared_fd_unref(c->records);
        gpu_snapshot_unref(c->known);
        g_clear_pointer(&c->made, g_ptr_array_unref);
        g_clear_pointer(&c->identities, g_array_unref);
        g_clear_pointer(&c->reservations, g_ptr_array_unref);
}

const JobKindInfo job_kind_create = {
        .name = "create",
        .size = sizeof(JobCreate),
        .makes_instances = true,
        .changes_capacity = true,
        .scan = JOB_SCAN_PROVES_GPU,
        .run = job_create_run,
        .update_records = job_create_update_records,
        .predict = job_create_predict,
        .log = job_create_log,
        .describe = job_create_describe,
        .done = job_create_done,
};

Job *job_create_new(Gpu *gpu, uid_t requester, const char *type_id, GPtrArray *uuids)
{
        Job *job = job_new(&job_kind_create, gpu, requester);
        JobCreate *c = job_create(job);

        g_assert(uuids->len > 0);

        g_ptr_array_extend_and_steal(job->uuids, uuids);
        c->type_id = g_strdup(type_id);
        c->owner = requester;
        c->attributes = vgpu_attributes_new();
        c->records = records_directory(job->model->records);
        job->predictable = gpu_is_predictable(gpu);
        c->known = job->predictable ? gpu_snapshot_ref(gpu->snapshot) : NULL;

        return job;
}

void job_create_set_options(Job *job, const char *parent, const char *name, const GPtrArray *attributes)
{
        JobCreate *c = job_create(job);

        assert_main_thread();

        c->parent = g_strdup(parent);
        c->name = g_strdup(name);

        if (attributes) {
                g_ptr_array_unref(c->attributes);
                c->attributes = vgpu_attributes_copy(attributes);
        }

        c->undo = job->uuids->len > 1 || c->attributes->len > 0;
}

void job_create_set_definition(Job *job, const Definition *definition, bool kept)
{
        JobCreate *c = job_create(job);

        assert_main_thread();
        g_assert(kept || job->uuids->len == 1);

        c->owner = definition->owner;
        c->definition = definition_checksum(definition);
        c->kept = kept;
}

const char *job_created_type(const Job *job)
{
        return job->kind == &job_kind_create ? job_create_const(job)->type_id : NULL;
}

bool job_creates(const Job *job, const char *uuid)
{
        if (job->kind != &job_kind_create)
                return false;

        for (guint i = 0; i < job->uuids->len; i++)
                if (strcmp(job->uuids->pdata[i], uuid) == 0)
                        return true;

        return false;
}
