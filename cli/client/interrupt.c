/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "cli/client/interrupt.h"

#include <errno.h>
#include <glib.h>
#include <signal.h>

int interrupt_watch(sd_event *event, sd_event_signal_handler_t on_interrupt, void *userdata)
{
        static const int signals[] = { SIGINT, SIGTERM };
        sigset_t blocked;

        (void)sigemptyset(&blocked);
        for (size_t i = 0; i < G_N_ELEMENTS(signals); i++)
                (void)sigaddset(&blocked, signals[i]);
        if (sigprocmask(SIG_BLOCK, &blocked, NULL) < 0)
                return -errno;

        for (size_t i = 0; i < G_N_ELEMENTS(signals); i++) {
                int r = sd_event_add_signal(event, NULL, signals[i], on_interrupt, userdata);

                if (r < 0)
                        return r;
        }

        return 0;
}
