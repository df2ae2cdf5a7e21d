/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "daemon/work/job-configure.h"

#include "base/log-ids.h"
#include "base/thread.h"
#include "daemon/model/gpu.h"
#include "daemon/model/keep.h"
#include "daemon/model/model.h"

static JobConfigure *job_configure(Job *job)
{
        g_assert(job->kind == &job_kind_configure);
        return (JobConfigure *)job;
}

static const JobConfigure *job_configure_const(const Job *job)
{
        g_assert(job->kind == &job_kind_configure);
        return (const JobConfigure *)job;
}

static void job_configure_run(Job *job, VgpuTarget *t)
{
        const JobConfigure *j = job_configure(job);

        assert_in_lane();

        if (lane_check(job->driver->configure, &job->error) >= 0)
                (void)job->driver->configure(t, j->mode, j->value, &job->error);
}

/* Linked GPUs may change together (AMD's by XGMI) without an event. */
static void job_configure_follow_up(Job *job, Gpu *gpu)
{
        GHashTableIter iter;
        Gpu *other;

        if (job->error.code == VGPUD_ERROR_NONE)
                keep_settle_by_job(gpu, job_configure(job)->mode, job->keep);

        g_hash_table_iter_init(&iter, job->model->gpus);
        while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&other))
                if (other != gpu && other->driver == gpu->driver)
                        gpu_want_scan(other, GPU_SCAN_SOON);
}

static void job_configure_log(const Job *job, LogFields *fields)
{
        const JobConfigure *j = job_configure_const(job);

        fields->message_id = VGPUD_MESSAGE_MODE_SET;
        LOG_FULL(LOG_INFO, fields, "Mode \"%s\" of GPU %s is \"%s\" now", j->mode, job->gpu_name, j->value);
}

static size_t job_configure_describe(const Job *job, JobDetail ret[static JOB_DETAILS_MAX])
{
        const JobConfigure *j = job_configure_const(job);

        ret[0] = (JobDetail){ .name = "mode", .text = j->mode };
        ret[1] = (JobDetail){ .name = "value", .text = j->value };

        return 2;
}

static void job_configure_done(Job *job)
{
        JobConfigure *j = job_configure(job);

        g_free(j->mode);
        g_free(j->value);
}

const JobKindInfo job_kind_configure = {
        .name = "configure",
        .size = sizeof(JobConfigure),
        .changes_capacity = true,
        .scan = JOB_SCAN_OPTIONAL,
        .run = job_configure_run,
        .follow_up = job_configure_follow_up,
        .log = job_configure_log,
        .describe = job_configure_describe,
        .done = job_configure_done,
};

Job *job_configure_new(Gpu *gpu, uid_t requester, const char *mode, const char *value)
{
        Job *job = job_new(&job_kind_configure, gpu, requester);
        JobConfigure *j = job_configure(job);

        j->mode = g_strdup(mode);
        j->value = g_strdup(value);

        return job;
}
