/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "daemon/converge/ready.h"

#include <systemd/sd-event.h>

#include "base/log-ids.h"
#include "base/log.h"
#include "base/thread.h"
#include "base/time-util.h"
#include "daemon/converge/missing.h"
#include "daemon/model/model.h"

/* The journal names at most this many missing things in one line. */
#define READY_LOG_MAX 8

struct Ready {
        Model *model;              /* borrowed */
        bool was_missing;          /* something was missing at some time */
        bool is_late;              /* the deadline is over, or the host was ready: no "converging" any more */
        sd_event_source *deadline; /* owned; [ready] timeout; NULL after the first "ready" */
};

static void ready_log(Model *m, Readiness now)
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
        texts = missing_list(m, READY_LOG_MAX);
        g_ptr_array_add(texts, NULL);
        text = g_strjoinv("; ", (char **)texts->pdata);
        LOG_FIELDS(LOG_WARNING, (.message_id = VGPUD_MESSAGE_DEGRADED),
                   "The host is degraded, missing instances or settings: %zu: %s%s", n, text,
                   n > READY_LOG_MAX ? "; …" : "");
}

void ready_update(Ready *r)
{
        Model *m = r->model;
        Readiness now = missing_count(m) == 0 ? READINESS_READY
                        : r->is_late          ? READINESS_DEGRADED
                                              : READINESS_CONVERGING;

        assert_main_thread();

        /* After the first "ready", the readiness is never "converging" again. */
        if (now == READINESS_READY) {
                r->is_late = true;
                r->deadline = sd_event_source_disable_unref(r->deadline);
        }

        r->was_missing |= now != READINESS_READY;
        if (now == m->readiness)
                return;

        /* Do not log "ready" at the start if nothing has been missing. */
        if (now == READINESS_DEGRADED || (now == READINESS_READY && r->was_missing))
                ready_log(m, now);
        model_set_readiness(m, now);
}

static int on_ready_deadline(sd_event_source *source, uint64_t usec, void *userdata)
{
        Ready *r = userdata;

        r->is_late = true;
        ready_update(r);

        return 0;
}

int ready_new(Model *m, Ready **ret)
{
        Ready *ready = g_new0(Ready, 1);
        int r;

        assert_main_thread();

        ready->model = m;
        r = sd_event_add_time_relative(m->event, &ready->deadline, CLOCK_MONOTONIC,
                                       m->config->ready_timeout_usec, 10 * USEC_PER_MSEC, on_ready_deadline,
                                       ready);
        if (r < 0) {
                g_free(ready);
                return log_error_errno(r, "Cannot set the deadline of the readiness: %m");
        }

        *ret = ready;

        return 0;
}

Ready *ready_free(Ready *r)
{
        assert_main_thread();

        if (!r)
                return NULL;

        sd_event_source_disable_unref(r->deadline);
        g_free(r);

        return NULL;
}
