/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "daemon/converge/converge.h"

#include <string.h>

#include "base/log-ids.h"
#include "base/log.h"
#include "base/thread.h"
#include "base/time-util.h"
#include "daemon/converge/kept.h"
#include "daemon/converge/missing.h"
#include "daemon/converge/vanished.h"
#include "daemon/definitions/define.h"
#include "daemon/definitions/start.h"
#include "daemon/model/gpu.h"
#include "daemon/model/instance.h"
#include "daemon/model/model.h"
#include "daemon/model/want.h"
#include "daemon/work/debounce.h"
#include "daemon/work/job.h"
#include "daemon/work/queue.h"

/* Events come in bursts, for example when a driver adds VFs. One run serves a burst. */
#define CONVERGE_DELAY_USEC (10 * USEC_PER_MSEC)

#define CONVERGE_RETRY_USEC     USEC_PER_SEC
#define CONVERGE_RETRY_MAX_USEC (300 * USEC_PER_SEC)

/* The journal names at most this many missing things in one line. */
#define CONVERGE_LOG_MAX 8

struct Converge {
        Model *model; /* borrowed */
        Vanished *vanished;
        bool started;
        bool was_missing;          /* something was missing at some time */
        bool is_late;              /* the deadline is over, or the host was ready: no "converging" any more */
        sd_event_source *deadline; /* owned; [ready] timeout; NULL after the first "ready" */
        sd_event_source *retry;    /* owned; the next attempt that a failure has delayed */
        Debounce *delay;           /* owned */
};

/* ---- attempts ---- */

/* Userdata of a job that starts a definition. */
typedef struct ConvergeAttempt {
        Converge *converge;
        char uuid[UUID_STRLEN + 1];
} ConvergeAttempt;

static uint64_t converge_pause_usec(unsigned failures)
{
        unsigned doublings = MIN(failures, 16U);

        return MIN(CONVERGE_RETRY_USEC << doublings, CONVERGE_RETRY_MAX_USEC);
}

/* The next attempt takes another GPU, if there is one with room. */
static void converge_avoid_gpu(Want *want, const char *gpu)
{
        if (!want->avoided)
                want->avoided = g_ptr_array_new_with_free_func(g_free);
        if (!g_ptr_array_find_with_equal_func(want->avoided, gpu, g_str_equal, NULL))
                g_ptr_array_add(want->avoided, g_strdup(gpu));
}

static void on_attempt_finished(Job *job, const VgpudError *error, void *userdata)
{
        g_autofree ConvergeAttempt *attempt = userdata;
        Model *m = attempt->converge->model;
        Want *want = want_get(m, attempt->uuid);

        if (!want || m->stopping)
                return;

        if (error->code == VGPUD_ERROR_NONE) {
                want->failures = 0;
                want->retry_usec = 0;
                g_clear_pointer(&want->avoided, g_ptr_array_unref);
        } else {
                converge_avoid_gpu(want, job->gpu_name);
                want->retry_usec = now_monotonic_usec() + converge_pause_usec(want->failures++);
                want_set_waiting(m, want, error);
        }

        model_wish_converge(m, job->gpu_name);
        want_wish(m, attempt->uuid);
}

/* True if the kept settings of the GPU are not applied; *reterr is the reason. */
static bool converge_is_unsettled(Gpu *gpu, VgpudError *reterr)
{
        const VgpudError *waiting;

        /* A stuck GPU takes no instances anyway, and the stuck job may never return. */
        if (gpu->state == GPU_STUCK || kept_step(gpu))
                return false;

        waiting = kept_get_waiting(gpu);
        if (waiting)
                vgpud_error_copy(reterr, waiting);
        else
                (void)vgpud_error_setf(reterr, VGPUD_ERROR_IN_USE,
                                       "the kept settings of GPU %s are being applied", gpu_name(gpu));

        return true;
}

/* One run: `unsettled` has the names, borrowed, of the GPUs whose settings a job is applying. `refusals` has
 * the errors of definitions without a GPU: "type pool" -> VgpudError. */
typedef struct ConvergeRun {
        const GPtrArray *unsettled; /* borrowed */
        GHashTable *refusals;       /* borrowed */
} ConvergeRun;

/* A GPU whose settings cannot be applied takes instances of definitions that name no GPU: the administrator may
 * never mend the settings. */
static GPtrArray *converge_list_unsettled(Model *m)
{
        GPtrArray *names = g_ptr_array_new();
        GHashTableIter iter;
        Gpu *gpu;

        g_hash_table_iter_init(&iter, m->gpus);
        while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&gpu)) {
                _cleanup_vgpud_error_ VgpudError error = VGPUD_ERROR_INIT;

                if (converge_is_unsettled(gpu, &error) && !kept_get_waiting(gpu))
                        g_ptr_array_add(names, (gpointer)gpu_name(gpu));
        }

        return names;
}

static uint32_t converge_count_jobs(const Gpu *gpu)
{
        return gpu->waiting.length + !!gpu->current;
}

/* Queue the job that creates the instance. `avoided`: see PlaceHints. */
static int converge_queue(Converge *c, const Definition *d, const GPtrArray *avoided, VgpudError *reterr)
{
        ConvergeAttempt *attempt;
        CreateRequest request;
        const VgpuType *type;
        PlaceHints hints;
        Gpu *gpu;
        Job *job;
        int r;

        start_prepare(d, &hints, &request);
        hints.avoided = avoided;
        request.requester = UID_INVALID;

        r = request_resolve_create(c->model, &request, &gpu, &type, reterr);
        if (r < 0)
                return r;

        /* Do not queue jobs that would fail. The end of the last job of the queue causes another run. */
        if (type->available <= converge_count_jobs(gpu))
                return vgpud_error_setf(reterr, VGPUD_ERROR_NO_CAPACITY,
                                        "GPU %s has no room for another %s: %s", gpu_name(gpu), type->id,
                                        type->why_not ? type->why_not : "it is full");

        request.gpu = gpu_name(gpu);
        request.hints = NULL;
        r = request_create(c->model, &request, &job, reterr);
        if (r < 0)
                return r;

        attempt = g_new(ConvergeAttempt, 1);
        attempt->converge = c;
        memcpy(attempt->uuid, d->uuid, sizeof attempt->uuid);
        job_on_finished(job, on_attempt_finished, attempt);

        return 0;
}

static void refusal_free(gpointer p)
{
        vgpud_error_done(p);
        g_free(p);
}

/* True if the refusal may concern one definition alone, for example because a GPU has the name. */
static bool converge_refusal_is_own(const VgpudError *refusal)
{
        return refusal->code == VGPUD_ERROR_EXISTS || refusal->code == VGPUD_ERROR_INVALID;
}

/* Try all GPUs but those of one or both lists. */
static int converge_queue_elsewhere(Converge *c, const Definition *d, const GPtrArray *unsettled,
                                    const GPtrArray *avoided, VgpudError *reterr)
{
        g_autoptr(GPtrArray) all = g_ptr_array_new();

        for (guint i = 0; i < unsettled->len; i++)
                g_ptr_array_add(all, unsettled->pdata[i]);
        for (guint i = 0; avoided && i < avoided->len; i++)
                g_ptr_array_add(all, avoided->pdata[i]);

        return converge_queue(c, d, all->len > 0 ? all : NULL, reterr);
}

/* A refusal that does not concern one definition alone holds for all definitions of the same type and pool. */
static int converge_queue_anywhere(Converge *c, Want *want, const Definition *d, ConvergeRun *run,
                                   VgpudError *reterr)
{
        g_autofree char *place = g_strdup_printf("%s %s", d->type, d->pool ? d->pool : "");
        VgpudError *refusal = g_hash_table_lookup(run->refusals, place);
        int r;

        if (want->avoided) {
                _cleanup_vgpud_error_ VgpudError error = VGPUD_ERROR_INIT;

                r = converge_queue_elsewhere(c, d, run->unsettled, want->avoided, &error);
                if (r >= 0)
                        return r;

                /* No other GPU has room: begin again with the first one. */
                g_clear_pointer(&want->avoided, g_ptr_array_unref);
        }

        if (refusal) {
                vgpud_error_copy(reterr, refusal);
                return -ENOSPC;
        }

        r = converge_queue_elsewhere(c, d, run->unsettled, NULL, reterr);
        if (r < 0 && run->unsettled->len > 0) {
                vgpud_error_done(reterr);
                r = vgpud_error_setf(reterr, VGPUD_ERROR_IN_USE,
                                     "the kept settings of GPU %s are being applied, and no other GPU fits",
                                     (const char *)run->unsettled->pdata[0]);
        }
        if (r < 0 && !converge_refusal_is_own(reterr)) {
                refusal = g_new0(VgpudError, 1);
                vgpud_error_copy(refusal, reterr);
                g_hash_table_insert(run->refusals, g_steal_pointer(&place), refusal);
        }

        return r;
}

/* Returns true if the definition needs a start now. Sets the reason of the wait if the state of the definition
 * is the reason. */
static bool converge_is_due(Converge *c, Want *want, const Definition *d)
{
        _cleanup_vgpud_error_ VgpudError error = VGPUD_ERROR_INIT;
        Model *m = c->model;

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
                if (vanished_contains(c->vanished, d->uuid)) {
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

static void converge_definition(Converge *c, const Definition *d, ConvergeRun *run)
{
        _cleanup_vgpud_error_ VgpudError error = VGPUD_ERROR_INIT;
        Want *want = want_get(c->model, d->uuid);
        Gpu *gpu = d->gpu ? model_get_gpu(c->model, d->gpu) : NULL;
        int r;

        if (!converge_is_due(c, want, d))
                return;

        /* The instance follows the settings of its GPU. */
        if (gpu && converge_is_unsettled(gpu, &error))
                r = -EBUSY;
        else
                r = d->gpu ? converge_queue(c, d, NULL, &error)
                           : converge_queue_anywhere(c, want, d, run, &error);

        want_set_waiting(c->model, want, r < 0 ? &error : NULL);
}

/* ---- one run ---- */

static int compare_uuids(gconstpointer a, gconstpointer b)
{
        return strcmp((*(const Definition *const *)a)->uuid, (*(const Definition *const *)b)->uuid);
}

/* List the wanted definitions that are not active or whose reason must be cleared; borrowed. Definitions that
 * name a GPU come first, because no other GPU can take their instances. */
static GPtrArray *converge_list(Model *m, bool all, GHashTable *gpus)
{
        g_autoptr(GPtrArray) anywhere = g_ptr_array_new();
        GPtrArray *named = g_ptr_array_new();
        GHashTableIter iter;
        const Want *want;

        g_hash_table_iter_init(&iter, m->wants);
        while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&want)) {
                const Definition *d = definitions_get(m->definitions, want->uuid);
                const Instance *instance = model_get_instance(m, want->uuid);
                bool runs = instance && instance->origin == INSTANCE_ORIGIN_VGPUD;

                if (!d || (runs && want->waiting.code == VGPUD_ERROR_NONE))
                        continue;

                if (!d->gpu)
                        g_ptr_array_add(anywhere, (gpointer)d);
                else if (all || g_hash_table_contains(gpus, d->gpu))
                        g_ptr_array_add(named, (gpointer)d);
        }

        g_ptr_array_sort(named, compare_uuids);
        g_ptr_array_sort(anywhere, compare_uuids);
        g_ptr_array_extend(named, anywhere, NULL, NULL);

        return named;
}

static void converge_settings(Model *m, bool all, GHashTable *gpus)
{
        GHashTableIter iter;
        Gpu *gpu;

        g_hash_table_iter_init(&iter, m->gpus);
        while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&gpu))
                if (all || g_hash_table_contains(gpus, gpu_name(gpu)))
                        (void)kept_step(gpu);
}

static int on_retry(sd_event_source *source, uint64_t usec, void *userdata)
{
        Converge *c = userdata;

        model_wish_converge(c->model, NULL);

        return 0;
}

/* Wake up when the next pause is over. */
static void converge_arm_retry(Converge *c)
{
        uint64_t now = now_monotonic_usec(), next = UINT64_MAX;
        GHashTableIter iter;
        const Want *want;
        int r = 0;

        g_hash_table_iter_init(&iter, c->model->wants);
        while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&want))
                if (want->retry_usec > now)
                        next = MIN(next, want->retry_usec);

        c->retry = sd_event_source_disable_unref(c->retry);
        if (next != UINT64_MAX)
                r = sd_event_add_time(c->model->event, &c->retry, CLOCK_MONOTONIC, next, 10 * USEC_PER_MSEC,
                                      on_retry, c);
        if (r < 0)
                log_warning_errno(r, "Cannot set the timer of the next start: %m");
}

static void converge_log_readiness(Model *m, Readiness now)
{
        g_autoptr(GPtrArray) texts = NULL;
        g_autofree char *text = NULL;
        size_t n;

        if (now == READINESS_READY) {
                LOG_FIELDS(LOG_INFO, (.message_id = VGPUD_MESSAGE_READY), "All wanted instances exist: %u",
                           g_hash_table_size(m->wants));
                return;
        }

        n = missing_count(m);
        texts = missing_list(m, CONVERGE_LOG_MAX);
        g_ptr_array_add(texts, NULL);
        text = g_strjoinv("; ", (char **)texts->pdata);
        LOG_FIELDS(LOG_WARNING, (.message_id = VGPUD_MESSAGE_DEGRADED),
                   "The host is degraded, missing instances or settings: %zu: %s%s", n, text,
                   n > CONVERGE_LOG_MAX ? "; …" : "");
}

static void converge_update_readiness(Converge *c)
{
        Model *m = c->model;
        Readiness now = missing_count(m) == 0 ? READINESS_READY
                        : c->is_late          ? READINESS_DEGRADED
                                              : READINESS_CONVERGING;

        /* After the first "ready", the readiness is never "converging" again. */
        if (now == READINESS_READY) {
                c->is_late = true;
                c->deadline = sd_event_source_disable_unref(c->deadline);
        }

        c->was_missing |= now != READINESS_READY;
        if (now == m->readiness)
                return;

        /* Do not log "ready" at the start if nothing has been missing. */
        if (now == READINESS_DEGRADED || (now == READINESS_READY && c->was_missing))
                converge_log_readiness(m, now);
        model_set_readiness(m, now);
}

static void on_delay(void *userdata)
{
        Converge *c = userdata;
        Model *m = c->model;
        g_autoptr(GHashTable) gpus = g_steal_pointer(&m->to_converge);
        g_autoptr(GHashTable) refusals = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, refusal_free);
        g_autoptr(GPtrArray) definitions = NULL, unsettled = NULL;
        ConvergeRun run;
        bool all = m->converge_all;

        m->to_converge = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        m->converge_all = false;

        if (m->stopping)
                return;

        converge_settings(m, all, gpus);
        unsettled = converge_list_unsettled(m);
        run = (ConvergeRun){ .unsettled = unsettled, .refusals = refusals };
        definitions = converge_list(m, all, gpus);
        for (guint i = 0; i < definitions->len; i++)
                converge_definition(c, definitions->pdata[i], &run);

        converge_arm_retry(c);
        converge_update_readiness(c);
}

void converge_run(Converge *c)
{
        assert_main_thread();

        if (c->started)
                debounce_start(&c->delay, c->model->event, CONVERGE_DELAY_USEC, "the definitions", on_delay, c);
}

/* ---- what happens in the model ---- */

/* Want the definition of an instance that runs. During a stop, which has ended the want, the instance has a job
 * or is leaving. */
static void converge_note_running(const Instance *instance)
{
        if (instance->job || instance->leaving || instance->undo || instance->origin != INSTANCE_ORIGIN_VGPUD)
                return;

        want_add(instance->gpu->model, instance->desc->uuid);
}

/* The GPU has changed, so end the pauses after failures. `only_full`: only the types changed. A failing start
 * may change types for a moment, so the change ends only the pauses after NO_CAPACITY. */
static void converge_end_pauses(Model *m, const char *gpu, bool only_full)
{
        GHashTableIter iter;
        Want *want;

        g_hash_table_iter_init(&iter, m->wants);
        while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&want)) {
                const Definition *d = want->retry_usec ? definitions_get(m->definitions, want->uuid) : NULL;

                if (d && (!d->gpu || strcmp(d->gpu, gpu) == 0) &&
                    (!only_full || want->waiting.code == VGPUD_ERROR_NO_CAPACITY))
                        want->retry_usec = 0;
        }
}

static void on_gpu_added(Gpu *gpu, void *userdata)
{
        Converge *c = userdata;

        converge_end_pauses(c->model, gpu_name(gpu), false);
        model_wish_converge(c->model, gpu_name(gpu));
}

static void on_gpu_changed(Gpu *gpu, unsigned changes, void *userdata)
{
        Converge *c = userdata;

        /* Ignore a scan that finds no change, and jobs, except for the end of the last job in the queue: see
         * converge_queue(). */
        if (!(changes & ~(unsigned)(GPU_CHANGED_SCANNED | GPU_CHANGED_JOB)) &&
            (!(changes & GPU_CHANGED_JOB) || converge_count_jobs(gpu) > 0))
                return;

        vanished_note_gpu(c->vanished, gpu);
        if (changes & (GPU_CHANGED_FACTS | GPU_CHANGED_BACK_END | GPU_CHANGED_TYPES))
                converge_end_pauses(c->model, gpu_name(gpu),
                                    !(changes & (GPU_CHANGED_FACTS | GPU_CHANGED_BACK_END)));
        model_wish_converge(c->model, gpu_name(gpu));
}

static void on_gpu_removed(Gpu *gpu, void *userdata)
{
        Converge *c = userdata;

        vanished_note_gpu_removed(c->vanished, gpu);
        model_wish_converge(c->model, gpu_name(gpu));
}

static void on_instance_added(Instance *instance, void *userdata)
{
        Converge *c = userdata;
        Want *want;

        vanished_remove(c->vanished, instance->desc->uuid);
        converge_note_running(instance);
        want = want_get(c->model, instance->desc->uuid);
        if (want)
                want->since_usec = now_monotonic_usec();
        model_wish_converge(c->model, gpu_name(instance->gpu));
}

static void on_instance_changed(Instance *instance, unsigned changes, void *userdata)
{
        const Converge *c = userdata;

        if (!(changes & (INSTANCE_CHANGED_ORIGIN | INSTANCE_CHANGED_DEFINITION | INSTANCE_CHANGED_JOB)))
                return;

        converge_note_running(instance);
        model_wish_converge(c->model, gpu_name(instance->gpu));
        want_wish(c->model, instance->desc->uuid);
}

static void on_instance_removed(Instance *instance, void *userdata)
{
        Converge *c = userdata;
        const Want *want = want_get(c->model, instance->desc->uuid);

        if (want && instance->origin == INSTANCE_ORIGIN_VGPUD && !instance->leaving)
                vanished_add(c->vanished, instance, want->since_usec);
        model_wish_converge(c->model, gpu_name(instance->gpu));
        want_wish(c->model, instance->desc->uuid);
}

static void on_definition_changed(const Definition *definition, void *userdata)
{
        const Converge *c = userdata;
        Want *want = want_get(c->model, definition->uuid);

        if (want && !model_get_instance(c->model, definition->uuid))
                model_wish_converge(c->model, definition->gpu);
}

static void on_definition_removed(const Definition *definition, void *userdata)
{
        const Converge *c = userdata;

        want_remove(c->model, definition->uuid);
}

static void on_device_moved(const char *path, void *userdata)
{
        Converge *c = userdata;

        vanished_note_moved(c->vanished, path);
}

static const ModelEvents converge_events = {
        .device_moved = on_device_moved,
        .gpu_added = on_gpu_added,
        .gpu_changed = on_gpu_changed,
        .gpu_removed = on_gpu_removed,
        .instance_added = on_instance_added,
        .instance_changed = on_instance_changed,
        .instance_removed = on_instance_removed,
        .definition_changed = on_definition_changed,
        .definition_removed = on_definition_removed,
};

/* ---- life ---- */

Converge *converge_new(Model *m)
{
        Converge *c = g_new0(Converge, 1);

        assert_main_thread();

        c->model = m;
        c->vanished = vanished_new(m);
        model_set_watcher(m, &converge_events, c);

        return c;
}

Converge *converge_free(Converge *c)
{
        assert_main_thread();

        if (!c)
                return NULL;

        model_set_watcher(c->model, NULL, NULL);
        vanished_free(c->vanished);
        debounce_free(c->delay);
        sd_event_source_disable_unref(c->deadline);
        sd_event_source_disable_unref(c->retry);
        g_free(c);

        return NULL;
}

static int on_ready_deadline(sd_event_source *source, uint64_t usec, void *userdata)
{
        Converge *c = userdata;

        c->is_late = true;
        converge_update_readiness(c);

        return 0;
}

int converge_start(Converge *c)
{
        int r;

        assert_main_thread();
        g_assert(!c->started);

        r = sd_event_add_time_relative(c->model->event, &c->deadline, CLOCK_MONOTONIC,
                                       c->model->config->ready_timeout_usec, 10 * USEC_PER_MSEC,
                                       on_ready_deadline, c);
        if (r < 0)
                return log_error_errno(r, "Cannot set the deadline of the readiness: %m");

        c->started = true;
        c->model->converge_all = true;
        on_delay(c);

        return 0;
}
