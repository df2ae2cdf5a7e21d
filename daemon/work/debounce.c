/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "daemon/work/debounce.h"

#include <time.h>

#include "base/log.h"
#include "base/thread.h"
#include "base/time-util.h"

struct Debounce {
        sd_event_source *source; /* owned */
        Debounce **place;        /* borrowed: the variable of the owner */
        DebounceHandler handler;
        void *userdata;
};

static int on_debounced(sd_event_source *source, uint64_t usec, void *userdata)
{
        Debounce *d = userdata;
        DebounceHandler handler = d->handler;
        void *argument = d->userdata;

        g_assert(*d->place == d);

        *d->place = NULL;
        debounce_free(d);
        handler(argument);

        return 0;
}

void debounce_start(Debounce **d, sd_event *event, uint64_t usec, const char *what, DebounceHandler handler,
                    void *userdata)
{
        Debounce *started;
        int r;

        assert_main_thread();
        g_assert(handler);

        if (*d)
                return;

        started = g_new0(Debounce, 1);
        *started = (Debounce){ .place = d, .handler = handler, .userdata = userdata };

        r = sd_event_add_time_relative(event, &started->source, CLOCK_MONOTONIC, usec, USEC_PER_MSEC,
                                       on_debounced, started);
        if (r < 0) {
                log_warning_errno(r, "Cannot debounce the events of %s, handling them now: %m", what);
                debounce_free(started);
                handler(userdata);
                return;
        }

        *d = started;
}

Debounce *debounce_free(Debounce *d)
{
        assert_main_thread();

        if (!d)
                return NULL;

        sd_event_source_disable_unref(d->source);
        g_free(d);

        return NULL;
}
