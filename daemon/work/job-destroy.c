/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "daemon/work/job-destroy.h"

#include <inttypes.h>
#include <string.h>

#include "base/log-ids.h"
#include "base/thread.h"
#include "base/time-util.h"
#include "daemon/model/gpu.h"
#include "daemon/model/instance.h"
#include "daemon/model/model.h"
#include "daemon/store/records.h"
#include "drivers-glue/problem.h"

DEFINE_DESTROY_NOTIFY(job_destroy_destroy_desc, instance_desc_free)

static JobDestroy *job_destroy(Job *job)
{
        g_assert(job->kind == &job_kind_destroy);
        return (JobDestroy *)job;
}

static const JobDestroy *job_destroy_const(const Job *job)
{
        g_assert(job->kind == &job_kind_destroy);
        return (const JobDestroy *)job;
}

/* ---- in the lane ---- */

/* False if another program has recreated the device of the slot since the last scan. */
static bool job_destroy_same_device(const Job *job, const InstanceDesc *d, VgpuIo *io, VgpudError *reterr)
{
        uint64_t now;

        if (d->identity == 0 || vgpu_io_identify(io, d->path, &now) < 0 || now == d->identity)
                return true;

        (void)vgpud_error_setf(
                        reterr, VGPUD_ERROR_FOREIGN,
                        "another program recreated %s of GPU %s, which is not the device of instance %s any more",
                        d->slot ? d->slot : d->path, job->gpu_name, d->uuid);

        return false;
}

/* True if another program removed the instance while the job waited, and vgpud created a new instance in the
 * slot: the old instance is gone. */
static bool job_destroy_is_replaced(const JobDestroy *j, const InstanceDesc *d)
{
        const SlotReserved *reserved = d->slot ? g_hash_table_lookup(j->job.reserved, d->slot) : NULL;

        return reserved && reserved->usec > j->known_usec && strcmp(reserved->uuid, d->uuid) != 0;
}

static int job_destroy_one(JobDestroy *j, VgpuTarget *t, InstanceDesc *d, VgpudError *reterr)
{
        int r;

        if (job_destroy_is_replaced(j, d))
                return 0;

        if (!job_destroy_same_device(&j->job, d, t->io, reterr))
                return -vgpud_error_code_to_errno(reterr->code);

        r = j->job.driver->destroy(t, d, reterr);
        if (r >= 0)
                vgpu_slots_remove(t->slots, d->uuid);

        return r;
}

static void job_destroy_run(Job *job, VgpuTarget *t)
{
        JobDestroy *j = job_destroy(job);

        assert_in_lane();

        for (guint i = 0; i < j->instances->len; i++) {
                _cleanup_vgpud_error_ VgpudError error = VGPUD_ERROR_INIT;

                if (job_destroy_one(j, t, j->instances->pdata[i], &error) < 0)
                        job_add_failure(job, job->uuids->pdata[i], &error);
        }
}

/* ---- in the main thread ---- */

static void job_destroy_update_instance(Job *job, Instance *instance)
{
        const InstanceDesc *d = instance->desc;
        /* Search by slot where the kernel keeps no UUIDs: apply_snapshot() has not assigned UUIDs yet. */
        bool in_snapshot =
                        job->snapshot && (d->slot ? gpu_snapshot_has_slot(job->snapshot, d->slot)
                                                  : gpu_snapshot_find_instance(job->snapshot, d->uuid) != NULL);
        bool left = job->failures ? job_find_failure(job, d->uuid) != NULL
                                  : job->error.code != VGPUD_ERROR_NONE;

        if (job->internal)
                instance->undo_usec = now_monotonic_usec();
        /* A failed removal may still have removed the instance. */
        instance->leaving = !left || (job->snapshot && !in_snapshot && !gpu_snapshot_is_partial(job->snapshot));
}

static bool job_destroy_predict(Job *job, const Gpu *gpu, GpuSnapshot **ret)
{
        *ret = gpu_snapshot_predict(gpu->snapshot, NULL, job->uuids);

        return true;
}

static void job_destroy_log(const Job *job, LogFields *fields)
{
        fields->message_id = VGPUD_MESSAGE_INSTANCE_DESTROYED;
        for (guint i = 0; i < job->uuids->len; i++) {
                fields->instance = job->uuids->pdata[i];
                if (job_find_failure(job, fields->instance))
                        continue;

                LOG_FULL(LOG_INFO, fields, "Destroyed instance %s on GPU %s", fields->instance, job->gpu_name);
        }
}

static const char *job_destroy_common_type(const JobDestroy *j)
{
        const InstanceDesc *first = j->instances->pdata[0];

        for (guint i = 1; i < j->instances->len; i++)
                if (g_strcmp0(((const InstanceDesc *)j->instances->pdata[i])->type_id, first->type_id) != 0)
                        return NULL;

        return first->type_id;
}

static size_t job_destroy_describe(const Job *job, JobDetail ret[static JOB_DETAILS_MAX])
{
        const JobDestroy *j = job_destroy_const(job);
        const char *type = job_destroy_common_type(j);
        size_t n = 0;

        if (type)
                ret[n++] = (JobDetail){ .name = "type", .text = type };
        ret[n++] = (JobDetail){ .name = "count", .kind = JOB_DETAIL_NUMBER, .number = job->uuids->len };
        if (j->foreign)
                ret[n++] = (JobDetail){ .name = "foreign", .kind = JOB_DETAIL_FLAG };

        return n;
}

/* Clear Record.removing of the instances that still exist. Removed instances have no record, so the call skips
 * them. */
static void job_destroy_end(Job *job)
{
        for (guint i = 0; i < job->uuids->len; i++)
                records_mark_removing(job->model->records, job->uuids->pdata[i], false);
}

static void job_destroy_done(Job *job)
{
        JobDestroy *j = job_destroy(job);

        g_ptr_array_unref(j->instances);
}

const JobKindInfo job_kind_destroy = {
        .name = "destroy",
        .size = sizeof(JobDestroy),
        .takes_instances = true,
        .changes_capacity = true,
        .survives_gpu = true,
        .scan = JOB_SCAN_OPTIONAL,
        .run = job_destroy_run,
        .update_instance = job_destroy_update_instance,
        .predict = job_destroy_predict,
        .log = job_destroy_log,
        .end = job_destroy_end,
        .describe = job_destroy_describe,
        .done = job_destroy_done,
};

Job *job_destroy_new(Gpu *gpu, uid_t requester, const GPtrArray *instances, unsigned flags)
{
        bool internal = flags & JOB_DESTROY_INTERNAL;
        Job *job = job_new(&job_kind_destroy, gpu, internal ? UID_INVALID : requester);
        JobDestroy *j = job_destroy(job);

        g_assert(instances->len > 0);

        j->instances = g_ptr_array_new_with_free_func(job_destroy_destroy_desc);
        j->foreign = flags & JOB_DESTROY_FOREIGN;
        j->known_usec = gpu->snapshot ? gpu->snapshot->began_usec : 0;
        job->predictable = gpu_is_predictable(gpu);

        for (guint i = 0; i < instances->len; i++) {
                const Instance *instance = instances->pdata[i];
                const Record *record = records_get(job->model->records, instance->desc->uuid);
                InstanceDesc *desc = instance_desc_copy(instance->desc);

                g_assert(instance->gpu == gpu && !instance->job);

                if (record && !desc->restore)
                        desc->restore = g_strdup(record->restore);
                if (record && record->made && instance->origin == INSTANCE_ORIGIN_VGPUD && !desc->slot)
                        desc->identity = record->identity;
                g_ptr_array_add(j->instances, desc);
                g_ptr_array_add(job->uuids, g_strdup(desc->uuid));
                records_mark_removing(job->model->records, desc->uuid, true);
        }

        return job;
}
