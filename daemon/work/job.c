/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "daemon/work/job.h"

#include <string.h>

#include "base/thread.h"
#include "base/time-util.h"
#include "daemon/model/gpu.h"
#include "daemon/model/instance.h"
#include "daemon/store/known-types.h"
#include "daemon/model/latest-facts.h"
#include "daemon/model/model.h"
#include "daemon/model/rules.h"

static const char *const job_state_table[_JOB_STATE_MAX] = {
        [JOB_WAITING] = "waiting", [JOB_RUNNING] = "running", [JOB_STUCK] = "stuck",
        [JOB_DONE] = "done",       [JOB_FAILED] = "failed",   [JOB_CANCELED] = "canceled",
};
DEFINE_STRING_TABLE_TO_STRING(job_state, JobState)

Job *job_new(const JobKindInfo *kind, Gpu *gpu, uid_t requester)
{
        Model *m = gpu->model;
        Job *job = g_malloc0(kind->size);

        assert_main_thread();
        g_assert(kind->size >= sizeof *job);
        g_assert(gpu->driver && gpu->lane);

        *job = (Job){
                .kind = kind,
                .model = m,
                .id = ++m->last_job_id,
                .state = JOB_WAITING,
                .gpu = gpu,
                .gpu_name = g_strdup(gpu_name(gpu)),
                .requester = requester,
                .internal = requester == UID_INVALID,
                .created_usec = now_realtime_usec(),
                .uuids = g_ptr_array_new_with_free_func(g_free),
                .driver = gpu->driver,
                .scanner = gpu->driver,
                .latest = latest_facts_ref(gpu->latest),
                .known_types = known_types_get(m->known_types, gpu->facts),
                .slots = vgpu_slots_ref(gpu->slots),
                .take_bound = rules_take_bound(gpu),
                .reserved = g_hash_table_ref(gpu->reserved),
                .runtime = shared_fd_ref(m->runtime),
        };

        return job;
}

Job *job_free(Job *job)
{
        assert_main_thread();

        if (!job)
                return NULL;

        if (job->kind->done)
                job->kind->done(job);

        sd_event_source_disable_unref(job->deadline);
        g_free(job->gpu_name);
        g_ptr_array_unref(job->uuids);
        latest_facts_unref(job->latest);
        g_ptr_array_unref(job->known_types);
        vgpu_slots_unref(job->slots);
        g_hash_table_unref(job->reserved);
        shared_fd_unref(job->runtime);
        gpu_facts_unref(job->facts);
        gpu_snapshot_unref(job->snapshot);
        vgpud_error_done(&job->error);
        g_clear_pointer(&job->failures, g_ptr_array_unref);
        g_free(job);

        return NULL;
}

void job_on_finished(Job *job, JobFinished finished, void *userdata)
{
        assert_main_thread();

        job->finished = finished;
        job->finished_userdata = userdata;
}

void job_tell_finished(Job *job, const VgpudError *error)
{
        JobFinished finished = g_steal_pointer(&job->finished);

        assert_main_thread();

        if (finished)
                finished(job, error, job->finished_userdata);
}

const VgpudError *job_find_failure(const Job *job, const char *uuid)
{
        for (guint i = 0; job->failures && i < job->failures->len; i++) {
                const JobFailure *failure = job->failures->pdata[i];

                if (strcmp(failure->uuid, uuid) == 0)
                        return &failure->error;
        }

        return NULL;
}

size_t job_describe(const Job *job, JobDetail ret[static JOB_DETAILS_MAX])
{
        assert_main_thread();

        return job->kind->describe ? job->kind->describe(job, ret) : 0;
}

bool job_get_detail(const Job *job, const char *name, JobDetail *ret)
{
        JobDetail details[JOB_DETAILS_MAX];
        size_t n = job_describe(job, details);

        for (size_t i = 0; i < n; i++)
                if (strcmp(details[i].name, name) == 0) {
                        *ret = details[i];
                        return true;
                }

        return false;
}

/* ---- in the lane ---- */

static void job_failure_free(gpointer p)
{
        JobFailure *failure = p;

        vgpud_error_done(&failure->error);
        g_free(failure);
}

void job_add_failure(Job *job, const char *uuid, VgpudError *cause)
{
        JobFailure *failure;

        assert_in_lane();

        if (job->uuids->len == 1) {
                (void)vgpud_error_move(&job->error, cause);
                return;
        }

        if (job->error.code == VGPUD_ERROR_NONE)
                vgpud_error_copy(&job->error, cause);
        if (!job->failures)
                job->failures = g_ptr_array_new_with_free_func(job_failure_free);

        failure = g_new0(JobFailure, 1);
        (void)g_strlcpy(failure->uuid, uuid, sizeof failure->uuid);
        (void)vgpud_error_move(&failure->error, cause);
        g_ptr_array_add(job->failures, failure);
}

static bool job_scan_decides(const Job *job, const VgpudError *scan_error)
{
        switch (job->kind->scan) {
        case JOB_SCAN_IS_THE_JOB:
                return true;
        case JOB_SCAN_PROVES_GPU:
                return scan_error->code == VGPUD_ERROR_GPU_GONE;
        case JOB_SCAN_OPTIONAL:
        default:
                return false;
        }
}

void job_run(LaneWork *w, VgpuIo *io)
{
        Job *job = (Job *)w;
        const GpuNotes notes = { shared_fd_get(job->runtime), job->gpu_name };
        VgpuTarget t = { .io = io,
                         .known_types = job->known_types,
                         .notes = &notes,
                         .slots = job->slots,
                         .take_bound = job->take_bound };
        _cleanup_vgpud_error_ VgpudError scan_error = VGPUD_ERROR_INIT;
        int r;

        assert_in_lane();

        t.facts = job->facts = latest_facts_get(job->latest);
        job->began_usec = now_monotonic_usec();

        if (job->kind->run)
                job->kind->run(job, &t);

        if (!job->scanner || (job->predictable && job->error.code == VGPUD_ERROR_NONE))
                return;

        /* Scan as part of the job, so that the model shows the result when the caller gets the answer. */
        r = job->scanner->scan(&t, &job->snapshot, &scan_error);
        if (r >= 0)
                r = lane_check(job->snapshot, &scan_error);
        if (r >= 0)
                instances_identify(io, job->snapshot->instances);
        else if (job->error.code == VGPUD_ERROR_NONE && job_scan_decides(job, &scan_error))
                vgpud_error_move(&job->error, &scan_error);
}
