/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "daemon/work/job-set-vfs.h"

#include <inttypes.h>
#include <string.h>

#include "base/log-ids.h"
#include "base/thread.h"
#include "base/time-util.h"
#include "daemon/store/autoprobe.h"
#include "daemon/model/gpu.h"
#include "daemon/model/keep.h"
#include "daemon/model/latest-facts.h"
#include "daemon/model/model.h"
#include "drivers-glue/registry.h"

static JobSetVfs *job_set_vfs(Job *job)
{
        g_assert(job->kind == &job_kind_set_vfs);
        return (JobSetVfs *)job;
}

static const JobSetVfs *job_set_vfs_const(const Job *job)
{
        g_assert(job->kind == &job_kind_set_vfs);
        return (const JobSetVfs *)job;
}

/* ---- in the lane ---- */

/* Set a mark only if autoprobe is 1 now. If the attribute is 0, either the administrator wants 0, or the mark
 * of an earlier job still exists. */
static void job_set_vfs_change(JobSetVfs *j, VgpuTarget *t)
{
        g_autofree char *value = NULL;
        Job *job = &j->job;
        bool marked = vgpu_io_readf(t->io, &value, "%s/sriov_drivers_autoprobe", t->facts->path) >= 0 &&
                      strcmp(value, "1") == 0;

        if (marked)
                autoprobe_mark(shared_fd_get(job->runtime), job->gpu_name);
        (void)job->driver->set_vfs(t, j->vfs, &j->vfs_now, &job->error);

        j->probe_again = marked && job->error.code == VGPUD_ERROR_INCONSISTENT;
        if (marked && !j->probe_again)
                autoprobe_unmark(shared_fd_get(job->runtime), job->gpu_name);
}

/* Read the facts again, and choose the back end that scans: a changed number of VFs may need another one. */
static void job_set_vfs_read_facts(JobSetVfs *j, VgpuIo *io)
{
        const GpuFacts *f = j->job.facts;
        GpuSeed seed = {
                .name = f->name,
                .path = f->path,
                .vendor_name = f->vendor_name,
                .device_name = f->device_name,
                .admitted = f->features & VGPU_FEATURE_ADMITTED,
                .began_usec = now_monotonic_usec(),
        };
        g_autoptr(GPtrArray) parents = NULL;

        j->job.scanner = NULL;

        if (mdev_parents_read(io, &parents) < 0 || gpu_facts_read(io, &seed, parents, &j->facts_now) < 0)
                return;

        j->job.scanner = registry_choose(j->facts_now, NULL, NULL);
}

static void job_set_vfs_run(Job *job, VgpuTarget *t)
{
        JobSetVfs *j = job_set_vfs(job);

        assert_in_lane();

        if (lane_check(job->driver->set_vfs, &job->error) < 0)
                return;

        job_set_vfs_change(j, t);
        job_set_vfs_read_facts(j, t->io);

        if (!job->scanner)
                return;

        /* Give the new facts to the next work, which may begin before the main thread sees the result. */
        if (job->scanner == job->driver)
                latest_facts_offer(job->latest, j->facts_now);
        t->facts = j->facts_now;
}

/* ---- in the main thread ---- */

/* Update the VFs of the model before the snapshot that shows them. */
static void job_set_vfs_update_gpu(Job *job, Gpu *gpu)
{
        JobSetVfs *j = job_set_vfs(job);

        if (j->facts_now)
                job->model->take_facts(gpu, j->facts_now);
        if (job->snapshot && (gpu->driver != job->scanner || !gpu_facts_equal(j->facts_now, gpu->facts)))
                job->snapshot = gpu_snapshot_unref(job->snapshot);
        if (!j->facts_now || gpu->facts_later)
                model_wish(job->model, MODEL_WISH_DISCOVERY);
        gpu->facts_later = false;
}

static void job_set_vfs_follow_up(Job *job, Gpu *gpu)
{
        if (job->error.code == VGPUD_ERROR_NONE)
                keep_settle_by_job(gpu, NULL, job->keep);
        if (!job_set_vfs(job)->probe_again)
                return;

        gpu->probe_again = true;
        gpu_want_scan(gpu, GPU_SCAN_SOON);
}

static void job_set_vfs_log(const Job *job, LogFields *fields)
{
        fields->message_id = VGPUD_MESSAGE_VFS_SET;
        LOG_FULL(LOG_INFO, fields, "GPU %s has %" PRIu32 " virtual functions now", job->gpu_name,
                 job_set_vfs_const(job)->vfs_now);
}

static size_t job_set_vfs_describe(const Job *job, JobDetail ret[static JOB_DETAILS_MAX])
{
        ret[0] = (JobDetail){
                .name = "count",
                .kind = JOB_DETAIL_NUMBER,
                .number = job_set_vfs_const(job)->vfs,
        };

        return 1;
}

static void job_set_vfs_done(Job *job)
{
        gpu_facts_unref(job_set_vfs(job)->facts_now);
}

const JobKindInfo job_kind_set_vfs = {
        .name = "set-vfs",
        .size = sizeof(JobSetVfs),
        .changes_capacity = true,
        .changes_vfs = true,
        .scan = JOB_SCAN_OPTIONAL,
        .run = job_set_vfs_run,
        .update_gpu = job_set_vfs_update_gpu,
        .follow_up = job_set_vfs_follow_up,
        .log = job_set_vfs_log,
        .describe = job_set_vfs_describe,
        .done = job_set_vfs_done,
};

Job *job_set_vfs_new(Gpu *gpu, uid_t requester, uint32_t vfs)
{
        Job *job = job_new(&job_kind_set_vfs, gpu, requester);

        job_set_vfs(job)->vfs = vfs;

        return job;
}
