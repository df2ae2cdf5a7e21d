/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "daemon/requests/gpu.h"

#include <inttypes.h>
#include <string.h>

#include "base/text.h"
#include "base/thread.h"
#include "daemon/model/gpu.h"
#include "daemon/model/keep.h"
#include "daemon/model/model.h"
#include "daemon/work/job-configure.h"
#include "daemon/work/job-rescan.h"
#include "daemon/work/job-set-vfs.h"
#include "daemon/work/queue.h"
#include "drivers-glue/vf-limit.h"

static int request_refuse_limit(const Gpu *gpu, VgpudError *reterr)
{
        const GpuFacts *f = gpu->facts;
        _cleanup_vgpud_hint_ VgpudHint hint = VGPUD_HINT_INIT;
        g_autofree char *reason = vf_limit_explain(f->driver, f->name, f->vf_limit, "", &hint);
        int r;

        r = vgpud_error_setf(reterr, VGPUD_ERROR_UNSUPPORTED, "GPU %s cannot have virtual functions: %s",
                             gpu_name(gpu), reason);
        vgpud_error_hintf(reterr, hint.id, "%s", hint.text);

        return r;
}

int request_check_set_vfs(const Gpu *gpu, uint32_t count, VgpudError *reterr)
{
        int r;

        assert_main_thread();

        r = gpu_check_driven(gpu, reterr);
        if (r < 0)
                return r;

        if (!gpu->driver->set_vfs || gpu->facts->total_vfs == 0) {
                if (gpu->facts->vf_limit)
                        return request_refuse_limit(gpu, reterr);

                r = vgpud_error_setf(reterr, VGPUD_ERROR_UNSUPPORTED,
                                     "GPU %s does not support virtual functions", gpu_name(gpu));
                if (gpu->facts->is_pci && gpu->driver->set_vfs)
                        vgpud_error_hintf(reterr, VGPUD_HINT_ENABLE_SRIOV,
                                          "if the hardware has SR-IOV, enable it in the firmware setup");
                return r;
        }

        if (count > gpu->facts->total_vfs)
                return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID,
                                        "GPU %s supports %" PRIu32 " virtual functions, not %" PRIu32,
                                        gpu_name(gpu), gpu->facts->total_vfs, count);

        return 0;
}

int request_set_vfs(Gpu *gpu, uint32_t count, bool keep, uid_t requester, Job **ret, VgpudError *reterr)
{
        Keep *kept = NULL;
        Job *job;
        int r;

        assert_main_thread();

        r = request_check_set_vfs(gpu, count, reterr);
        if (r < 0)
                return r;

        r = queue_check(gpu, requester, 0, reterr);
        if (r >= 0 && keep)
                r = keep_begin_vfs(gpu, count, requester, &kept, reterr);
        if (r < 0)
                return r;

        job = job_set_vfs_new(gpu, requester, count);
        job->keep = kept;
        queue_submit(job);
        *ret = job;

        return 0;
}

static const VgpuMode *request_find_mode(const GpuSnapshot *s, const char *name)
{
        for (guint i = 0; i < s->modes->len; i++) {
                const VgpuMode *mode = s->modes->pdata[i];

                if (strcmp(mode->name, name) == 0)
                        return mode;
        }

        return NULL;
}

static int request_refuse_mode(const Gpu *gpu, const char *name, VgpudError *reterr)
{
        g_autoptr(GString) names = g_string_new(NULL);
        int r;

        for (guint i = 0; i < gpu->snapshot->modes->len; i++)
                g_string_append_printf(names, "%s%s", i > 0 ? ", " : "",
                                       ((const VgpuMode *)gpu->snapshot->modes->pdata[i])->name);

        if (names->len == 0)
                return vgpud_error_setf(reterr, VGPUD_ERROR_UNSUPPORTED, "GPU %s has no modes", gpu_name(gpu));

        r = vgpud_error_setf(reterr, VGPUD_ERROR_INVALID, "GPU %s has no mode \"%s\"", gpu_name(gpu),
                             TEXT_QUOTE(name));
        vgpud_error_hintf(reterr, VGPUD_HINT_CHOOSE_OTHER, "the modes of the GPU are %s", names->str);

        return r;
}

int request_check_configure(const Gpu *gpu, const char *mode_name, const char *value, VgpudError *reterr)
{
        const VgpuMode *mode;
        int r;

        assert_main_thread();

        r = gpu_check_driven(gpu, reterr);
        if (r < 0)
                return r;

        mode = request_find_mode(gpu->snapshot, mode_name);
        if (!mode || !gpu->driver->configure)
                return request_refuse_mode(gpu, mode_name, reterr);
        if (!mode->choices) {
                r = vgpud_error_setf(reterr, VGPUD_ERROR_UNSUPPORTED, "mode \"%s\" of GPU %s cannot be set",
                                     mode_name, gpu_name(gpu));
                if (mode->help)
                        vgpud_error_hintf(reterr, VGPUD_HINT_CONFIGURE_GPU, "%s", mode->help);
                return r;
        }

        if (!g_strv_contains((const char *const *)mode->choices, value)) {
                g_autofree char *choices = g_strjoinv(", ", mode->choices);

                r = vgpud_error_setf(reterr, VGPUD_ERROR_INVALID, "mode \"%s\" of GPU %s cannot be \"%s\"",
                                     mode_name, gpu_name(gpu), TEXT_QUOTE(value));
                vgpud_error_hintf(reterr, VGPUD_HINT_CHOOSE_OTHER, "the values of the mode are %s", choices);
                return r;
        }

        return 0;
}

int request_configure(Gpu *gpu, const char *mode_name, const char *value, bool keep, uid_t requester, Job **ret,
                      VgpudError *reterr)
{
        Keep *kept = NULL;
        Job *job;
        int r;

        assert_main_thread();

        r = request_check_configure(gpu, mode_name, value, reterr);
        if (r < 0)
                return r;

        r = queue_check(gpu, requester, 0, reterr);
        if (r >= 0 && keep)
                r = keep_begin_mode(gpu, mode_name, value, requester, &kept, reterr);
        if (r < 0)
                return r;

        job = job_configure_new(gpu, requester, mode_name, value);
        job->keep = kept;
        queue_submit(job);
        *ret = job;

        return 0;
}

int request_rescan(Gpu *gpu, uid_t requester, Job **ret, VgpudError *reterr)
{
        Job *job;
        int r;

        assert_main_thread();

        r = gpu_check_driven(gpu, reterr);
        if (r < 0 && (!gpu->driver || gpu->state == GPU_STUCK))
                return r;

        vgpud_error_done(reterr);
        r = queue_check(gpu, requester, 0, reterr);
        if (r < 0)
                return r;

        job = job_rescan_new(gpu, requester);
        queue_submit(job);
        *ret = job;

        return 0;
}
