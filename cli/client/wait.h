/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Calls that make a job each, and the wait for its end (not with --no-block): several at a time, with a line on
 * the terminal that tells what is waited for when it takes long, and with a Ctrl-C that says what goes on
 * without us. The calls are not made with the option "wait": its answer tells the number of the job too late
 * for both. */

#include <systemd/sd-bus.h>

#include "cli/client/client.h"

/* A call of a method that answers with the path of a job first. */
typedef struct Call {
        sd_bus_message *message; /* owned */
        const char *object;      /* borrowed; what the user named */

        /* what came of it */
        bool sent;
        bool stuck;             /* the job is past its deadline */
        bool done;              /* it failed, or its job has ended, or nobody wants to wait for that */
        uint32_t job;           /* its number; 0 until the call is answered */
        sd_bus_message *answer; /* owned; NULL until then */
        sd_bus_error error;     /* set when the call or the job failed */
        struct Waiter *waiter;
} Call;

static inline bool call_succeeded(const Call *call)
{
        return call->done && !sd_bus_error_is_set(&call->error);
}

/* Called for each call as it ends. */
typedef void (*CallFinished)(Call *call, void *userdata);

/* Returns 0 when all calls and jobs have ended, well or not; 128 + signal when the user did not want to wait
 * any longer, after having said what goes on; another exit status when waiting itself failed. */
int calls_run(Client *c, Call *calls, size_t n_calls, CallFinished finished, void *userdata);
void calls_done(Call *calls, size_t n_calls);
