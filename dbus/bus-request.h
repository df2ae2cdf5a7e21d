/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The path of a call that queues a job: checks, the question to polkit, the job, the answer. A handler reads
 * the arguments and describes the rest in a BusRequest. */

#include "base/error.h"
#include "dbus/bus-authz.h"
#include "dbus/bus.h"

typedef struct BusRequest {
        PolkitAction action;
        const char *const *details; /* see bus_authz_check() */
        uid_t requester;            /* see bus_authz_caller() */
        bool wait;                  /* answer when the job has ended */
        void *arguments;            /* borrowed; passed to the two functions */

        /* Refuses a hopeless call before a person types a password. NULL: no check. */
        int (*check)(const void *arguments, VgpudError *reterr);
        /* Queues the job. */
        int (*queue)(void *arguments, uid_t requester, Job **ret, VgpudError *reterr);
} BusRequest;

/* The end of a handler. The call may be dispatched again when polkit has answered; see bus-authz.h. */
int bus_request_run(Bus *b, sd_bus_message *call, const BusRequest *request, sd_bus_error *ret_error);

/* Answer the call, if any, that waits for an ended job. */
void bus_request_end(Bus *b, Job *job);

/* The daemon stops: answer all calls that wait, with CANCELED. */
void bus_request_cancel_all(Bus *b);
