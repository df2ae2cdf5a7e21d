/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Events come in bursts: a debounce calls its handler once, some time after the first event of a burst. Main
 * thread only. */

#include <stdint.h>
#include <systemd/sd-event.h>

#include "daemon/forward.h"

typedef void (*DebounceHandler)(void *userdata);

/* Start to wait `usec`, unless *d waits already. *d becomes NULL right before the handler runs. The variable *d
 * must exist until the handler runs or debounce_free() is called. If the timer cannot be set, the handler runs
 * at once, and a log line says so; `what` names the source of the events in this line. */
void debounce_start(Debounce **d, sd_event *event, uint64_t usec, const char *what, DebounceHandler handler,
                    void *userdata);

/* Stop waiting. The handler is not called. */
Debounce *debounce_free(Debounce *d);
