/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "daemon/converge/attempts.h"

#include <string.h>

#include "base/thread.h"
#include "base/time-util.h"
#include "daemon/converge/kept.h"
#include "daemon/converge/vanished.h"
#include "daemon/definitions/define.h"
#include "daemon/definitions/start.h"
#include "daemon/model/gpu.h"
#include "daemon/model/instance.h"
#include "daemon/model/model.h"
#include "daemon/model/want.h"
#include "daemon/work/job.h"

#define ATTEMPT_PAUSE_USEC     USEC_PER_SEC
#define ATTEMPT_PAUSE_MAX_USEC (300 * USEC_PER_SEC)

struct Attempts {
        Model *model;             /* borrowed */
        const Vanished *vanished; /* borrowed */
        GHashTable *unsettled; /* owned: set of Gpu, borrowed; the GPUs whose kept settings are not settled */
        GPtrArray *applying;   /* owned: names, borrowed, of the unsettled GPUs whose settings a job is applying
                                */
        GHashTable *refusals;  /* owned: errors of definitions without a GPU: "type pool" -> VgpudError */
};

static uint64_t attempt_pause_usec(unsigned failures)
{
        unsigned doublings = MIN(failures, 16U);

        return MIN(ATTEMPT_PAUSE_USEC << doublings, ATTEMPT_PAUSE_MAX_USEC);
}

/* The next attempt takes another GPU, if there is one with room. */
static void attempt_avoid_gpu(Want *want, const char *gpu)
{
        if (!want->avoided)
                want->avoided = g_ptr_array_new_with_free_func(g_free);
        if (!g_ptr_array_find_with_equal_func(want->avoided, gpu, g_str_equal, NULL))
                g_ptr_array_add(want->avoided, g_strdup(gpu));
}

static void on_attempt_finished(Job *job, const VgpudError *error, void *userdata)
{
        g_autofree char *uuid = userdata;
        Model *m = job->model;
        Want *want = want_get(m, uuid);

        if (!want || m->stopping)
                return;

        if (error->code == VGPUD_ERROR_NONE) {
                want->failures = 0;
                want->retry_usec = 0;
                g_clear_pointer(&want->avoided, g_ptr_array_unref);
        } else {
                attempt_avoid_gpu(want, job->gpu_name);
                want->retry_usec = now_monotonic_usec() + attempt_pause_usec(want->failures++);
                want_set_waiting(m, want, error);
        }

        model_wish_converge(m, job->gpu_name);
        want_wish(m, uuid);
}

/* Take the next step of the kept settings of each GPU. A stuck GPU takes no instances anyway, and the stuck job
 * may never return. */
static void attempts_settle_gpus(Attempts *a)
{
        GHashTableIter iter;
        Gpu *gpu;

        g_hash_table_iter_init(&iter, a->model->gpus);
        while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&gpu)) {
                if (kept_step(gpu) || gpu->state == GPU_STUCK)
                        continue;

                g_hash_table_add(a->unsettled, gpu);

                /* A GPU whose settings cannot be applied takes instances of definitions that name no GPU: the
                 * administrator may never mend the settings. */
                if (!kept_get_waiting(gpu))
                        g_ptr_array_add(a->applying, (gpointer)gpu_name(gpu));
        }
}

static int attempt_refuse_unsettled(const Gpu *gpu, VgpudError *reterr)
{
        const VgpudError *waiting = kept_get_waiting(gpu);

        if (!waiting)
                return vgpud_error_setf(reterr, VGPUD_ERROR_IN_USE,
                                        "the kept settings of GPU %s are being applied", gpu_name(gpu));

        vgpud_error_copy(reterr, waiting);

        return -EBUSY;
}

uint32_t attempts_count_jobs(const Gpu *gpu)
{
        assert_main_thread();

        return gpu->waiting.length + !!gpu->current;
}

/* Queue the job that creates the instance. `avoided`: see PlaceHints. */
static int attempt_queue(Model *m, const Definition *d, const GPtrArray *avoided, VgpudError *reterr)
{
        CreateRequest request;
        const VgpuType *type;
        PlaceHints hints;
        Gpu *gpu;
        Job *job;
        int r;

        start_prepare(d, &hints, &request);
        hints.avoided = avoided;
        request.requester = UID_INVALID;

        r = request_resolve_create(m, &request, &gpu, &type, reterr);
        if (r < 0)
                return r;

        /* Do not queue jobs that would fail. The end of the last job of the queue causes another run. */
        if (type->available <= attempts_count_jobs(gpu))
                return vgpud_error_setf(reterr, VGPUD_ERROR_NO_CAPACITY,
                                        "GPU %s has no room for another %s: %s", gpu_name(gpu), type->id,
                                        type->why_not ? type->why_not : "it is full");

        request.gpu = gpu_name(gpu);
        request.hints = NULL;
        r = request_create(m, &request, &job, reterr);
        if (r < 0)
                return r;

        job_on_finished(job, on_attempt_finished, g_strdup(d->uuid));

        return 0;
}

static void refusal_free(gpointer p)
{
        vgpud_error_done(p);
        g_free(p);
}

/* True if the refusal may concern one definition alone, for example because a GPU has the name. */
static bool attempt_refusal_is_own(const VgpudError *refusal)
{
        return refusal->code == VGPUD_ERROR_EXISTS || refusal->code == VGPUD_ERROR_INVALID;
}

/* Try all GPUs except the avoided ones and those whose kept settings a job is applying. */
static int attempt_queue_elsewhere(Attempts *a, const Definition *d, const GPtrArray *avoided,
                                   VgpudError *reterr)
{
        g_autoptr(GPtrArray) all = g_ptr_array_new();

        for (guint i = 0; i < a->applying->len; i++)
                g_ptr_array_add(all, a->applying->pdata[i]);
        for (guint i = 0; avoided && i < avoided->len; i++)
                g_ptr_array_add(all, avoided->pdata[i]);

        return attempt_queue(a->model, d, all->len > 0 ? all : NULL, reterr);
}

/* A refusal that does not concern one definition alone holds for all definitions of the same type and pool. */
static int attempt_queue_anywhere(Attempts *a, Want *want, const Definition *d, VgpudError *reterr)
{
        g_autofree char *place = g_strdup_printf("%s %s", d->type, d->pool ? d->pool : "");
        VgpudError *refusal = g_hash_table_lookup(a->refusals, place);
        int r;

        if (want->avoided) {
                _cleanup_vgpud_error_ VgpudError error = VGPUD_ERROR_INIT;

                r = attempt_queue_elsewhere(a, d, want->avoided, &error);
                if (r >= 0)
                        return r;

                /* No other GPU has room: begin again with the first one. */
                g_clear_pointer(&want->avoided, g_ptr_array_unref);
        }

        if (refusal) {
                vgpud_error_copy(reterr, refusal);
                return -ENOSPC;
        }

        r = attempt_queue_elsewhere(a, d, NULL, reterr);
        if (r < 0 && a->applying->len > 0) {
                vgpud_error_done(reterr);
                r = vgpud_error_setf(reterr, VGPUD_ERROR_IN_USE,
                                     "the kept settings of GPU %s are being applied, and no other GPU fits",
                                     (const char *)a->applying->pdata[0]);
        }
        if (r < 0 && !attempt_refusal_is_own(reterr)) {
                refusal = g_new0(VgpudError, 1);
                vgpud_error_copy(refusal, reterr);
                g_hash_table_insert(a->refusals, g_steal_pointer(&place), refusal);
        }

        return r;
}

/* Returns true if the definition needs a start now. Sets the reason of the wait if the state of the definition
 * is the reason. */
static bool attempt_is_due(const Attempts *a, Want *want, const Definition *d)
{
        _cleanup_vgpud_error_ VgpudError error = VGPUD_ERROR_INIT;
        Model *m = a->model;

        switch (define_get_state(m, d)) {
        case DEFINITION_ACTIVE:
                /* The next start follows the removal of an instance whose creation was interrupted. */
                if (model_get_instance(m, d->uuid)->undo)
                        return false;
                want->failures = 0;
                want_set_waiting(m, want, NULL);
                return false;

        case DEFINITION_FOREIGN:
                (void)vgpud_error_setf(&error, VGPUD_ERROR_FOREIGN,
                                       "another program created a device with UUID %s", d->uuid);
                want_set_waiting(m, want, &error);
                return false;

        case DEFINITION_UNKNOWN:
                (void)vgpud_error_setf(&error, VGPUD_ERROR_GPU_STUCK,
                                       "the GPU of the instance has not been read completely");
                want_set_waiting(m, want, &error);
                return false;

        case DEFINITION_WAITING:
                if (vanished_contains(a->vanished, d->uuid)) {
                        (void)vgpud_error_setf(
                                        &error, VGPUD_ERROR_GPU_GONE,
                                        "the device disappeared, perhaps because its driver is being unloaded");
                        want_set_waiting(m, want, &error);
                        return false;
                }
                return want->retry_usec <= now_monotonic_usec();

        case DEFINITION_STARTING:
        case DEFINITION_STOPPED:
        case _DEFINITION_STATE_MAX:
        case _DEFINITION_STATE_INVALID:
        default:
                return false;
        }
}

void attempts_try(Attempts *a, const Definition *d)
{
        _cleanup_vgpud_error_ VgpudError error = VGPUD_ERROR_INIT;
        Want *want = want_get(a->model, d->uuid);
        Gpu *gpu = d->gpu ? model_get_gpu(a->model, d->gpu) : NULL;
        int r;

        assert_main_thread();
        g_assert(want);

        if (!attempt_is_due(a, want, d))
                return;

        /* The instance follows the settings of its GPU. */
        if (gpu && g_hash_table_contains(a->unsettled, gpu))
                r = attempt_refuse_unsettled(gpu, &error);
        else
                r = d->gpu ? attempt_queue(a->model, d, NULL, &error)
                           : attempt_queue_anywhere(a, want, d, &error);

        want_set_waiting(a->model, want, r < 0 ? &error : NULL);
}

Attempts *attempts_new(Model *m, const Vanished *vanished)
{
        Attempts *a = g_new0(Attempts, 1);

        assert_main_thread();

        a->model = m;
        a->vanished = vanished;
        a->unsettled = g_hash_table_new(g_direct_hash, g_direct_equal);
        a->applying = g_ptr_array_new();
        a->refusals = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, refusal_free);
        attempts_settle_gpus(a);

        return a;
}

Attempts *attempts_free(Attempts *a)
{
        assert_main_thread();

        g_hash_table_unref(a->unsettled);
        g_ptr_array_unref(a->applying);
        g_hash_table_unref(a->refusals);
        g_free(a);

        return NULL;
}
