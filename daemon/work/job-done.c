/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "daemon/work/job-done.h"

#include <inttypes.h>

#include "base/log-ids.h"
#include "base/thread.h"
#include "daemon/model/gpu.h"
#include "daemon/model/instance.h"
#include "daemon/model/apply.h"
#include "daemon/model/model.h"

/* Set the availability of all types to 0, until the next scan. */
static void job_clear_availability(GpuSnapshot *s)
{
        for (guint i = 0; i < s->types->len; i++) {
                VgpuType *t = s->types->pdata[i];

                t->available = 0;
                g_free(t->why_not);
                t->why_not = g_strdup("the GPU has changed, and a scan is in progress");
                vgpud_hint_done(&t->hint);
        }
}

/* If the job has not scanned, predict the snapshot, so that clients see the result at once. A scan follows and
 * corrects the prediction. */
static void job_predict_snapshot(Job *job, Gpu *gpu)
{
        if (job->snapshot || !job->kind->predict || job->error.code != VGPUD_ERROR_NONE || !gpu->snapshot ||
            !job->kind->predict(job, gpu, &job->snapshot))
                return;

        /* Date the prediction from the start of the job: the GPU answered then (gpu_has_answered_since()). */
        job->snapshot->began_usec = MAX(job->snapshot->began_usec, job->began_usec);
        /* A mode may have changed since the job was found predictable. */
        if (!gpu->driver->predict || !gpu->driver->predict(gpu->facts, gpu->snapshot, job->snapshot))
                job_clear_availability(job->snapshot);
        gpu_want_scan(gpu, GPU_SCAN_SOON);
}

static void job_apply_to_gpu(Job *job, Gpu *gpu)
{
        if (job->kind->update_gpu)
                job->kind->update_gpu(job, gpu);

        /* A snapshot that was read with other facts is outdated: the GPU has changed since. */
        if (job->snapshot && !job->kind->changes_vfs && !gpu_facts_equal(job->facts, gpu->facts))
                job->snapshot = gpu_snapshot_unref(job->snapshot);

        job_predict_snapshot(job, gpu);
        if (job->snapshot)
                apply_snapshot(gpu, job->snapshot);
        else {
                gpu_set_answered(gpu);
                gpu_want_scan(gpu, GPU_SCAN_NOW);
        }

        MODEL_EMIT(job->model, gpu_changed, gpu, GPU_CHANGED_JOB);

        if (job->kind->follow_up)
                job->kind->follow_up(job, gpu);
}

static void job_log_failure(const Job *job, LogFields *fields, const char *uuid, const VgpudError *error)
{
        fields->message_id = VGPUD_MESSAGE_JOB_FAILED;
        fields->instance = uuid;
        fields->error = -error->errnum;
        LOG_FULL(LOG_WARNING, fields, "Job %" PRIu32 " (%s on GPU %s) failed: %s%s%s", job->id, job->kind->name,
                 job->gpu_name, error->message, error->hint.text ? "; hint: " : "",
                 error->hint.text ? error->hint.text : "");
}

static void job_log_end(const Job *job)
{
        LogFields fields = {
                .gpu = job->gpu_name,
                .driver = job->driver->name,
                .job = job->id,
                .requester = job->internal ? 0 : (int64_t)job->requester + 1,
        };

        for (guint i = 0; job->failures && i < job->failures->len; i++) {
                const JobFailure *failure = job->failures->pdata[i];

                job_log_failure(job, &fields, failure->uuid, &failure->error);
        }

        if (job->error.code != VGPUD_ERROR_NONE && !job->failures)
                job_log_failure(job, &fields, NULL, &job->error);
        if (!job->kind->log || (job->error.code != VGPUD_ERROR_NONE && !job->failures))
                return;

        fields.error = 0;
        job->kind->log(job, &fields);
}

void job_apply_result(Job *job, const GPtrArray *instances)
{
        Gpu *gpu = job->gpu;

        assert_main_thread();

        /* Update records even if the GPU left the model: the GPU may return with the instances. */
        if (job->kind->update_records)
                job->kind->update_records(job);
        if (!gpu && job->error.code == VGPUD_ERROR_NONE && !job->kind->survives_gpu)
                (void)vgpud_error_setf(&job->error, VGPUD_ERROR_GPU_GONE, "GPU %s went away", job->gpu_name);

        for (guint i = 0; i < instances->len; i++) {
                Instance *instance = instances->pdata[i];
                unsigned changes = INSTANCE_CHANGED_JOB;

                if (job->kind->update_instance)
                        job->kind->update_instance(job, instance);
                if (instance_update_state(instance, false))
                        changes |= INSTANCE_CHANGED_STATE;
                MODEL_EMIT(job->model, instance_changed, instance, changes);
        }

        if (gpu)
                job_apply_to_gpu(job, gpu);
        job_log_end(job);
}
