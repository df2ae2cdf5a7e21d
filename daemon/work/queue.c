/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "daemon/work/queue.h"

#include <inttypes.h>

#include "base/log-ids.h"
#include "base/thread.h"
#include "base/time-util.h"
#include "daemon/model/gpu.h"
#include "daemon/model/instance.h"
#include "daemon/model/keep.h"
#include "daemon/model/model.h"
#include "daemon/work/finished.h"
#include "daemon/work/job-done.h"

/* The instances of the job that still exist. */
static GPtrArray *queue_find_instances(const Job *job)
{
        GPtrArray *instances = g_ptr_array_new();

        if (!job->kind->takes_instances)
                return instances;

        for (guint i = 0; i < job->uuids->len; i++) {
                Instance *instance = model_get_instance(job->model, job->uuids->pdata[i]);

                if (instance && instance->job == job)
                        g_ptr_array_add(instances, instance);
        }

        return instances;
}

static GPtrArray *queue_release_instances(Job *job)
{
        GPtrArray *instances = queue_find_instances(job);

        for (guint i = 0; i < instances->len; i++)
                ((Instance *)instances->pdata[i])->job = NULL;

        return instances;
}

/* Announce the end and free the job. */
static void queue_end(Job *job, JobState state)
{
        Model *m = job->model;

        job->state = state;

        job->keep = keep_end(job->keep, state == JOB_DONE, &job->error);
        if (state == JOB_DONE && job->error.code != VGPUD_ERROR_NONE)
                job->state = JOB_FAILED;
        if (job->kind->end)
                job->kind->end(job);
        finished_add(m->finished, job);
        job_tell_finished(job, &job->error);
        MODEL_EMIT(m, job_removed, job);
        g_hash_table_remove(m->jobs, GUINT_TO_POINTER(job->id));
        job_free(job);
}

/* ---- a job runs ---- */

/* Mark the GPU as stuck, keep its data, and refuse work until the operation returns: an operation that is
 * blocked in the kernel cannot be interrupted. */
static int on_job_deadline(sd_event_source *source, uint64_t usec, void *userdata)
{
        Job *job = userdata;
        Gpu *gpu = job->gpu;
        g_autoptr(GPtrArray) instances = queue_find_instances(job);
        g_autofree char *blocked = NULL, *holder = NULL, *reason = NULL;
        _cleanup_vgpud_error_ VgpudError error = VGPUD_ERROR_INIT;

        job->deadline = sd_event_source_disable_unref(job->deadline);
        job->state = JOB_STUCK;
        blocked = gpu && gpu->lane ? lane_find_blocked(gpu->lane, &holder) : NULL;
        reason = g_strdup_printf(
                        "job %" PRIu32 " (%s) has been blocked in the kernel for %" PRIu64 " s%s%s%s%s",
                        job->id, job->kind->name, job->model->config->job_timeout_usec / USEC_PER_SEC,
                        blocked ? ": " : "", blocked ? blocked : "", holder ? "; " : "", holder ? holder : "");
        LOG_FIELDS(LOG_ERR, (.gpu = job->gpu_name, .job = job->id, .message_id = VGPUD_MESSAGE_GPU_STUCK),
                   "GPU %s is stuck: %s", job->gpu_name, reason);

        for (guint i = 0; i < instances->len; i++)
                instance_set_stuck(instances->pdata[i]);
        if (gpu)
                gpu_set_stuck(gpu, reason, holder);
        MODEL_EMIT(job->model, job_changed, job);

        (void)vgpud_error_setf(&error, VGPUD_ERROR_GPU_STUCK, "GPU %s is stuck: %s", job->gpu_name, reason);
        if (holder)
                vgpud_error_hintf(&error, VGPUD_HINT_STOP_USER, GPU_STUCK_USER_HINT);
        else
                vgpud_error_hintf(
                                &error, VGPUD_HINT_RESET_GPU,
                                "the operation may still complete; if it never returns, reset the GPU or the host");
        job_tell_finished(job, &error);

        if (gpu)
                queue_cancel_waiting(gpu, VGPUD_ERROR_GPU_STUCK, reason);

        return 0;
}

static void queue_job_started(LaneWork *w)
{
        Job *job = (Job *)w;
        Gpu *gpu = job->gpu;
        int r;

        g_assert(job->state == JOB_WAITING);

        job->state = JOB_RUNNING;
        job->started_usec = now_realtime_usec();

        if (gpu) {
                g_assert(!gpu->current);
                g_queue_remove(&gpu->waiting, job);
                gpu->current = job;
                MODEL_EMIT(job->model, gpu_changed, gpu, GPU_CHANGED_JOB);
        }

        MODEL_EMIT(job->model, job_changed, job);

        r = sd_event_add_time_relative(job->model->event, &job->deadline, CLOCK_MONOTONIC,
                                       job->model->config->job_timeout_usec, 10 * USEC_PER_MSEC,
                                       on_job_deadline, job);
        if (r < 0)
                LOG_FIELDS(LOG_WARNING, (.job = job->id, .error = r),
                           "Cannot set the deadline of job %" PRIu32 ": %m", job->id);
}

/* Compute started_usec if it is 0: the job began and ended within one iteration of the event loop. */
static void queue_note_start(Job *job)
{
        if (job->started_usec == 0)
                job->started_usec = MAX(job->created_usec,
                                        now_realtime_usec() - (now_monotonic_usec() - job->began_usec));
}

static void queue_job_done(LaneWork *w)
{
        Job *job = (Job *)w;
        g_autoptr(GPtrArray) instances = queue_release_instances(job);

        job->deadline = sd_event_source_disable_unref(job->deadline);

        if (job->gpu) {
                g_queue_remove(&job->gpu->waiting, job);
                job->gpu->current = NULL;
        }

        queue_note_start(job);
        job_apply_result(job, instances);
        queue_end(job, job->error.code == VGPUD_ERROR_NONE ? JOB_DONE : JOB_FAILED);
}

/* ---- a job waits ---- */

/* Count the jobs that wait for the GPU; *ret_own: those of the requester. */
static uint32_t queue_count_waiting(const Gpu *gpu, uid_t requester, uint32_t *ret_own)
{
        uint32_t n = 0, own = 0;

        for (const GList *l = gpu->waiting.head; l; l = l->next) {
                const Job *job = l->data;

                n += !job->internal;
                own += !job->internal && job->requester == requester;
        }

        if (ret_own)
                *ret_own = own;

        return n;
}

static uint32_t queue_places(const Gpu *gpu, uid_t requester)
{
        uint32_t places = gpu->model->config->jobs_per_gpu;

        return requester == 0 ? places : places - QUEUE_ROOT_SHARE(places);
}

bool queue_is_full(const Gpu *gpu, uid_t requester)
{
        uint32_t own, n = queue_count_waiting(gpu, requester, &own);

        assert_main_thread();

        if (requester == UID_INVALID)
                return false;

        return n >= queue_places(gpu, requester) ||
               (requester != 0 && own >= QUEUE_USER_SHARE(gpu->model->config->jobs_per_gpu));
}

static int queue_refuse(VgpudError *reterr, const char *key, int r)
{
        vgpud_error_hintf(reterr, VGPUD_HINT_WAIT_FOR_JOB,
                          "wait until jobs have ended, or raise [jobs] %s in vgpud.conf", key);

        return r;
}

static int queue_check_gpu(const Gpu *gpu, uid_t requester, VgpudError *reterr)
{
        uint32_t own, n = queue_count_waiting(gpu, requester, &own);

        if (n >= queue_places(gpu, requester))
                return queue_refuse(reterr, "per-gpu",
                                    vgpud_error_setf(reterr, VGPUD_ERROR_TOO_MANY_JOBS,
                                                     "%" PRIu32 " jobs wait for GPU %s already", n,
                                                     gpu_name(gpu)));

        if (requester != 0 && own >= QUEUE_USER_SHARE(gpu->model->config->jobs_per_gpu))
                return queue_refuse(reterr, "per-gpu",
                                    vgpud_error_setf(reterr, VGPUD_ERROR_TOO_MANY_JOBS,
                                                     "%" PRIu32 " jobs of user %u wait for GPU %s already", own,
                                                     (unsigned)requester, gpu_name(gpu)));

        return 0;
}

int queue_check(Gpu *gpu, uid_t requester, uint32_t n_before, VgpudError *reterr)
{
        Model *m = gpu->model;
        GHashTableIter iter;
        uint32_t n = 0;
        Job *job;
        int r;

        assert_main_thread();

        if (m->stopping)
                return vgpud_error_setf(reterr, VGPUD_ERROR_CANCELED, "the daemon stops");

        if (requester == UID_INVALID)
                return 0;

        r = queue_check_gpu(gpu, requester, reterr);
        if (r < 0 || requester == 0)
                return r;

        g_hash_table_iter_init(&iter, m->jobs);
        while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&job))
                n += job->requester == requester;
        if (n + n_before >= m->config->jobs_per_user)
                return queue_refuse(reterr, "per-user",
                                    vgpud_error_setf(reterr, VGPUD_ERROR_TOO_MANY_JOBS,
                                                     "user %u may have %" PRIu32
                                                     " jobs at a time, not %" PRIu32,
                                                     (unsigned)requester, m->config->jobs_per_user,
                                                     n + n_before + 1));

        return 0;
}

int queue_check_instances(Model *m, uid_t requester, uint32_t count, VgpudError *reterr)
{
        GHashTableIter iter;
        uint64_t n = 0;
        Job *job;
        int r;

        assert_main_thread();

        if (requester == 0 || requester == UID_INVALID)
                return 0;

        g_hash_table_iter_init(&iter, m->jobs);
        while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&job))
                if (job->requester == requester && job->kind->makes_instances)
                        n += job->uuids->len;
        if (n + count <= QUEUE_INSTANCES_PER_USER_MAX)
                return 0;

        r = vgpud_error_setf(reterr, VGPUD_ERROR_TOO_MANY_JOBS,
                             "the jobs of user %u may create %u instances at a time, not %" PRIu64,
                             (unsigned)requester, QUEUE_INSTANCES_PER_USER_MAX, n + count);
        vgpud_error_hintf(reterr, VGPUD_HINT_WAIT_FOR_JOB, "wait until jobs have ended");

        return r;
}

void queue_submit(Job *job)
{
        Model *m = job->model;
        Gpu *gpu = job->gpu;
        g_autoptr(GPtrArray) taken = g_ptr_array_new();

        assert_main_thread();
        g_assert(gpu && gpu->lane && job->state == JOB_WAITING);

        for (guint i = 0; job->kind->takes_instances && i < job->uuids->len; i++) {
                Instance *instance = model_get_instance(m, job->uuids->pdata[i]);

                g_assert(instance && !instance->job);
                instance->job = job;
                g_ptr_array_add(taken, instance);
        }

        g_hash_table_insert(m->jobs, GUINT_TO_POINTER(job->id), job);
        g_queue_push_tail(&gpu->waiting, job);

        MODEL_EMIT(m, job_added, job);
        MODEL_EMIT(m, gpu_changed, gpu, GPU_CHANGED_JOB);

        for (guint i = 0; i < taken->len; i++)
                MODEL_EMIT(m, instance_changed, taken->pdata[i], INSTANCE_CHANGED_JOB);

        job->work = (LaneWork){ .run = job_run, .started = queue_job_started, .done = queue_job_done };
        lane_submit(gpu->lane, &job->work);
}

/* Remove a waiting job from the queue and end it with an error. -EBUSY: the job runs already. */
static int queue_drop(Job *job, JobState state, VgpudErrorCode code, const char *message)
{
        Gpu *gpu = job->gpu;
        g_autoptr(GPtrArray) instances = NULL;

        if (job->state != JOB_WAITING || !gpu || !lane_cancel(gpu->lane, &job->work))
                return -EBUSY;

        g_queue_remove(&gpu->waiting, job);
        (void)vgpud_error_setf(&job->error, code, "%s", message);
        if (job->kind->update_records)
                job->kind->update_records(job);

        instances = queue_release_instances(job);
        for (guint i = 0; i < instances->len; i++)
                MODEL_EMIT(job->model, instance_changed, instances->pdata[i], INSTANCE_CHANGED_JOB);
        MODEL_EMIT(job->model, gpu_changed, gpu, GPU_CHANGED_JOB);
        queue_end(job, state);

        return 0;
}

int queue_cancel(Job *job, VgpudError *reterr)
{
        uint32_t id = job->id;
        g_autofree char *message = g_strdup_printf("job %" PRIu32 " was cancelled before it began", id);

        assert_main_thread();

        if (queue_drop(job, JOB_CANCELED, VGPUD_ERROR_CANCELED, message) < 0) {
                int r = vgpud_error_setf(
                                reterr, VGPUD_ERROR_IN_USE,
                                "job %" PRIu32 " has begun, and a kernel operation cannot be interrupted", id);

                vgpud_error_hint_job(reterr, id);
                return r;
        }

        return 0;
}

void queue_cancel_waiting(Gpu *gpu, VgpudErrorCode code, const char *message)
{
        g_autofree char *text = g_strdup_printf("the job on GPU %s did not begin: %s", gpu_name(gpu), message);
        g_autoptr(GPtrArray) jobs = g_ptr_array_new();

        assert_main_thread();

        for (GList *l = gpu->waiting.head; l; l = l->next)
                g_ptr_array_add(jobs, l->data);

        for (guint i = 0; i < jobs->len; i++)
                (void)queue_drop(jobs->pdata[i], code == VGPUD_ERROR_CANCELED ? JOB_CANCELED : JOB_FAILED, code,
                                 text);
}

/* ---- a GPU ---- */

bool queue_is_busy(const Gpu *gpu)
{
        assert_main_thread();

        return gpu->state != GPU_STUCK &&
               (gpu->current || gpu->scan || gpu->quick_scan || gpu->waiting.length > 0);
}

bool queue_changes_vfs(const Gpu *gpu)
{
        assert_main_thread();

        return gpu->current && gpu->current->kind->changes_vfs;
}

void queue_detach(Gpu *gpu)
{
        assert_main_thread();

        for (GList *l = gpu->waiting.head; l; l = l->next)
                ((Job *)l->data)->gpu = NULL;
        g_queue_clear(&gpu->waiting);

        if (gpu->current)
                gpu->current->gpu = NULL;
        gpu->current = NULL;
}

void queue_abandon_all(Model *m, const char *message)
{
        GHashTableIter iter;
        Job *job;

        assert_main_thread();

        g_hash_table_iter_init(&iter, m->jobs);
        while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&job)) {
                _cleanup_vgpud_error_ VgpudError error = VGPUD_ERROR_INIT;

                (void)vgpud_error_setf(&error, VGPUD_ERROR_CANCELED, "%s", message);
                job_tell_finished(job, &error);
        }
}
