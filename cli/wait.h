/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Calls that wait for a job: several at a time, with a line on the terminal that tells what is waited for when
 * it takes long, and with a Ctrl-C that says what goes on without us. */

#include <systemd/sd-bus.h>

#include "cli/client.h"

typedef struct Call Call;

/* True when this job is the one that the call asked for. */
typedef bool (*CallOwnsJob)(const Call *call, const Host *h, const JobInfo *job);

struct Call {
        sd_bus_message *message; /* owned */
        const char *object;      /* borrowed; what the user named */
        CallOwnsJob owns_job;
        const char *uuid; /* create: the UUID it will have, NULL if the daemon makes it up; borrowed */
        uint32_t count;   /* create: instances; virtual functions */

        /* what came of it */
        bool sent;
        bool done;
        sd_bus_message *answer; /* owned; NULL when it failed */
        sd_bus_error error;
        struct Waiter *waiter;
};

/* Called for each call as it ends. */
typedef void (*CallFinished)(Call *call, void *userdata);

/* Returns 0 when all calls have ended, well or not; 128 + signal when the user did not want to wait any longer,
 * after having said what goes on; another exit status when waiting itself failed. */
int calls_run(Client *c, Call *calls, size_t n_calls, CallFinished finished, void *userdata);
void calls_done(Call *calls, size_t n_calls);
