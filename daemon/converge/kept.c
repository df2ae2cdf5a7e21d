/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "daemon/converge/kept.h"

#include <inttypes.h>
#include <string.h>

#include "base/log.h"
#include "base/thread.h"
#include "base/time-util.h"
#include "daemon/model/gpu.h"
#include "daemon/model/instance.h"
#include "daemon/model/keep.h"
#include "daemon/model/model.h"
#include "daemon/requests/gpu.h"
#include "daemon/store/settings.h"
#include "daemon/work/job-configure.h"
#include "daemon/work/job-set-vfs.h"
#include "daemon/work/queue.h"
#include "drivers-glue/attribute.h"

/* The one mode that must be set before the VFs are enabled. */
#define MODE_BEFORE_VFS "mig"

#define RETRY_MIN_USEC (1 * USEC_PER_SEC)
#define RETRY_MAX_USEC (300 * USEC_PER_SEC)

/* ---- jobs ---- */

static int on_kept_retry(sd_event_source *source, uint64_t usec, void *userdata)
{
        Gpu *gpu = userdata;

        gpu->kept.retry = sd_event_source_disable_unref(gpu->kept.retry);
        model_wish_converge(gpu->model, gpu_name(gpu));

        return 0;
}

static void kept_delay(Gpu *gpu)
{
        GpuKept *kept = &gpu->kept;
        uint64_t pause = RETRY_MIN_USEC << MIN(kept->failures, 9U);
        int r;

        pause = MIN(pause, RETRY_MAX_USEC);
        kept->failures++;
        kept->retry_usec = now_monotonic_usec() + pause;
        kept->retry = sd_event_source_disable_unref(kept->retry);
        r = sd_event_add_time_relative(gpu->model->event, &kept->retry, CLOCK_MONOTONIC, pause,
                                       10 * USEC_PER_MSEC, on_kept_retry, gpu);
        if (r < 0)
                LOG_FIELDS(LOG_WARNING, (.gpu = gpu_name(gpu), .error = r),
                           "Cannot set the timer for the kept settings of GPU %s: %m", gpu_name(gpu));
}

static void on_kept_job_finished(Job *job, const VgpudError *error, void *userdata)
{
        Model *m = job->model;
        Gpu *gpu = model_get_gpu(m, job->gpu_name);

        if (!gpu || gpu->kept.job != job->id)
                return;

        gpu->kept.job = 0;
        if (m->stopping)
                return;

        if (error->code == VGPUD_ERROR_NONE) {
                gpu->kept.failures = 0;
                gpu->kept.retry_usec = 0;
        } else {
                keep_set_waiting(gpu, error);
                kept_delay(gpu);
        }
        model_wish_converge(m, gpu_name(gpu));
}

/* Takes ownership of the job. */
static void kept_submit(Job *job)
{
        job->internal = true;
        job->gpu->kept.job = job->id;
        job_on_finished(job, on_kept_job_finished, NULL);
        queue_submit(job);
}

/* ---- one setting ---- */

static const char *kept_present_mode(const Gpu *gpu, const char *name)
{
        for (guint i = 0; gpu->snapshot && i < gpu->snapshot->modes->len; i++) {
                const VgpuMode *mode = gpu->snapshot->modes->pdata[i];

                if (strcmp(mode->name, name) == 0)
                        return mode->value;
        }

        return NULL;
}

/* Never disable VFs: another program has set the other number, or the driver did so when it took the GPU. */
static int kept_check_vfs(const Gpu *gpu, uint32_t vfs, VgpudError *reterr)
{
        uint32_t present = gpu->facts->enabled_vfs;
        int r;

        if (present == 0)
                return request_check_set_vfs(gpu, vfs, reterr);

        r = vgpud_error_setf(reterr, VGPUD_ERROR_IN_USE,
                             "GPU %s has %" PRIu32 " virtual functions, not the kept number %" PRIu32,
                             gpu_name(gpu), present, vfs);
        vgpud_error_hintf(reterr, VGPUD_HINT_DISABLE_VFS,
                          "set the kept number: vgpuctl enable-vfs %s %" PRIu32
                          ", or keep the present number: vgpuctl enable-vfs --keep %s %" PRIu32,
                          gpu_name(gpu), vfs, gpu_name(gpu), present);

        return r;
}

static int kept_check_setting(const Gpu *gpu, const GpuSettings *s, const char *mode, VgpudError *reterr)
{
        return mode ? request_check_configure(gpu, mode, gpu_settings_get_mode(s, mode), reterr)
                    : kept_check_vfs(gpu, s->vfs, reterr);
}

static bool kept_is_in_effect(const Gpu *gpu, const GpuSettings *s, const char *mode)
{
        return mode ? g_strcmp0(kept_present_mode(gpu, mode), gpu_settings_get_mode(s, mode)) == 0
                    : gpu->facts->enabled_vfs == s->vfs;
}

/* Apply one setting. 1: a job was queued, or must wait for retry_usec; 0: the setting is settled. */
static int kept_apply(Gpu *gpu, const GpuSettings *s, const char *mode, VgpudError *reterr)
{
        int r;

        if (keep_is_settled(gpu, mode))
                return 0;

        r = gpu_check_driven(gpu, reterr);
        if (r < 0)
                return r;
        if (kept_is_in_effect(gpu, s, mode)) {
                keep_settle(gpu, mode);
                return 0;
        }

        r = kept_check_setting(gpu, s, mode, reterr);
        if (r < 0)
                return r;
        if (now_monotonic_usec() < gpu->kept.retry_usec)
                return 1;
        /* A job that waits may set the number or the mode to a user's value. The end of the last job causes the
         * next step. */
        if (gpu->current || gpu->waiting.length > 0)
                return 1;

        kept_submit(mode ? job_configure_new(gpu, UID_INVALID, mode, gpu_settings_get_mode(s, mode))
                         : job_set_vfs_new(gpu, UID_INVALID, s->vfs));

        return 1;
}

/* ---- all settings ---- */

/* Apply the first setting that is not settled. Returns the result of kept_apply(). */
static int kept_apply_next(Gpu *gpu, const GpuSettings *s, VgpudError *reterr)
{
        int r;

        r = keep_check_card(gpu, s, reterr);
        if (r == 0 && gpu_settings_get_mode(s, MODE_BEFORE_VFS))
                r = kept_apply(gpu, s, MODE_BEFORE_VFS, reterr);
        if (r == 0 && s->vfs > 0)
                r = kept_apply(gpu, s, NULL, reterr);
        for (guint i = 0; r == 0 && i < s->modes->len; i++)
                r = kept_apply(gpu, s, ((const VgpuAttribute *)s->modes->pdata[i])->name, reterr);

        return r;
}

bool kept_step(Gpu *gpu)
{
        _cleanup_vgpud_error_ VgpudError waiting = VGPUD_ERROR_INIT;
        const GpuSettings *s = keep_get(gpu);
        int r;

        assert_main_thread();

        if (gpu->model->stopping || keep_is_changing(gpu) || gpu->kept.job > 0)
                return false;

        r = s ? kept_apply_next(gpu, s, &waiting) : 0;
        if (r < 0)
                keep_set_waiting(gpu, &waiting);
        else if (r == 0 || gpu->kept.job > 0)
                keep_set_waiting(gpu, NULL);

        return r == 0;
}

const VgpudError *kept_get_waiting(const Gpu *gpu)
{
        assert_main_thread();

        return gpu->kept.waiting.code == VGPUD_ERROR_NONE ? NULL : &gpu->kept.waiting;
}

static bool kept_is_settled(const Gpu *gpu, const GpuSettings *s)
{
        bool settled = keep_is_settled(gpu, NULL);

        for (guint i = 0; settled && i < s->modes->len; i++)
                settled = keep_is_settled(gpu, ((const VgpuAttribute *)s->modes->pdata[i])->name);

        return settled;
}

/* NULL: nothing is missing. Owned by the caller. */
static char *kept_describe_missing(Model *m, const GpuSettings *s)
{
        const Gpu *gpu = model_get_gpu(m, s->gpu);

        if (!gpu)
                return g_strdup_printf(
                                "the host does not have this GPU, whose settings are kept; if the GPU does not come back, forget its settings: vgpuctl forget %s",
                                s->gpu);
        if (kept_get_waiting(gpu))
                return g_strdup(gpu->kept.waiting.message);
        if (!keep_is_changing(gpu) && !kept_is_settled(gpu, s))
                return g_strdup("the kept settings are being applied");

        return NULL;
}

void kept_add_missing(Model *m, GPtrArray *clauses)
{
        g_autoptr(GPtrArray) all = settings_list(m->settings);

        assert_main_thread();

        for (guint i = 0; i < all->len; i++) {
                const GpuSettings *s = all->pdata[i];
                g_autofree char *reason = kept_describe_missing(m, s);

                if (reason)
                        g_ptr_array_add(clauses, g_strdup_printf("GPU %s: %s", s->gpu, reason));
        }
}
