/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Events come in bursts: a debounce calls its handler once, some time after the first event of a burst. Main
 * thread. */

#include <stdint.h>
#include <systemd/sd-event.h>

#include "daemon/forward.h"

typedef void (*DebounceHandler)(void *userdata);

/* Begin to wait, unless *d waits already. *d becomes NULL right before the handler runs. Without a timer, the
 * handler runs at once; `what` says in the log which events these are. *d must stay where it is. */
void debounce_start(Debounce **d, sd_event *event, uint64_t usec, const char *what, DebounceHandler handler,
                    void *userdata);

/* Stop to wait, without a call of the handler. */
Debounce *debounce_free(Debounce *d);
