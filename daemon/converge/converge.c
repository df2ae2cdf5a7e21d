/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "daemon/converge/converge.h"

#include <string.h>

#include "base/log.h"
#include "base/thread.h"
#include "base/time-util.h"
#include "daemon/converge/attempts.h"
#include "daemon/converge/ready.h"
#include "daemon/converge/vanished.h"
#include "daemon/model/gpu.h"
#include "daemon/model/instance.h"
#include "daemon/model/model.h"
#include "daemon/model/want.h"
#include "daemon/store/definitions.h"
#include "daemon/work/debounce.h"

/* Events come in bursts, for example when a driver adds VFs. One run serves a burst. */
#define CONVERGE_DELAY_USEC (10 * USEC_PER_MSEC)

struct Converge {
        Model *model;           /* borrowed */
        Vanished *vanished;     /* owned */
        Ready *ready;           /* owned; NULL before converge_start() */
        sd_event_source *retry; /* owned; the next attempt that a failure has delayed */
        Debounce *delay;        /* owned */
};

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

static void on_delay(void *userdata)
{
        Converge *c = userdata;
        Model *m = c->model;
        g_autoptr(GHashTable) gpus = g_steal_pointer(&m->to_converge);
        g_autoptr(GPtrArray) definitions = NULL;
        bool all = m->converge_all;
        Attempts *attempts;

        m->to_converge = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        m->converge_all = false;

        if (m->stopping)
                return;

        attempts = attempts_new(m, c->vanished);
        definitions = converge_list(m, all, gpus);
        for (guint i = 0; i < definitions->len; i++)
                attempts_try(attempts, definitions->pdata[i]);
        attempts_free(attempts);

        converge_arm_retry(c);
        ready_update(c->ready);
}

void converge_run(Converge *c)
{
        assert_main_thread();

        if (c->ready)
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
         * attempts_count_jobs(). */
        if (!(changes & ~(unsigned)(GPU_CHANGED_SCANNED | GPU_CHANGED_JOB)) &&
            (!(changes & GPU_CHANGED_JOB) || attempts_count_jobs(gpu) > 0))
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
        ready_free(c->ready);
        sd_event_source_disable_unref(c->retry);
        g_free(c);

        return NULL;
}

int converge_start(Converge *c)
{
        int r;

        assert_main_thread();
        g_assert(!c->ready);

        r = ready_new(c->model, &c->ready);
        if (r < 0)
                return r;

        c->model->converge_all = true;
        on_delay(c);

        return 0;
}
