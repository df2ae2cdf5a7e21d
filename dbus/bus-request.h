/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Runs a call that queues jobs: check, questions to polkit, jobs, answer. A handler reads the arguments and
 * describes the rest in a BusRequest. With the option "wait" the answer follows when all jobs have ended, when
 * one is stuck, or when the caller's time is over; the jobs go on in the last two cases. */

#include "base/error.h"
#include "dbus/bus-authz.h"
#include "dbus/bus.h"

/* The options of all methods that queue jobs. */
typedef struct BusWait {
        bool wait;
        uint64_t timeout_usec; /* from the queueing of the jobs; 0: not given; UINT64_MAX: no limit */
} BusWait;

#define BUS_WAIT_OPTIONS(w)                                           \
        { "wait", "b", &(w).wait },                                   \
        {                                                             \
                "timeout_usec", "t", &(w).timeout_usec, 1, UINT64_MAX \
        }

typedef enum BusAnswer {
        BUS_ANSWER_JOB,     /* o */
        BUS_ANSWER_JOBS,    /* ao */
        BUS_ANSWER_CREATED, /* o, aa{sv}: the job and the instances; of one job */
} BusAnswer;

typedef struct BusRequest {
        const BusAuthzQuestion *questions;
        size_t n_questions;
        uid_t requester; /* see bus_request_identify() */
        BusWait wait;
        BusAnswer answer;
        void *arguments; /* borrowed; passed to the two functions */

        /* Refuses a hopeless call before a person types a password. NULL: no check. */
        int (*check)(const void *arguments, VgpudError *reterr);
        /* Queues the jobs (Job). */
        int (*queue)(void *arguments, uid_t requester, GPtrArray *ret_jobs, VgpudError *reterr);
} BusRequest;

/* Begin a handler, before it reads the arguments: the effective uid of the caller. 0: go on. Any other value is
 * the result of the handler: the call is refused, or will be dispatched again. */
int bus_request_identify(Bus *b, sd_bus_message *call, uid_t *ret, sd_bus_error *ret_error);

/* Run the request, as the last step of a handler. If polkit is asked, the call is dispatched again after the
 * reply; see bus-authz.h. */
int bus_request_run(Bus *b, sd_bus_message *call, const BusRequest *request, sd_bus_error *ret_error);

/* Answer the call, if any, that waits for an ended job. The model still has the job. */
void bus_request_end(Bus *b, const Job *job);

/* Answer all calls that wait with CANCELED, because the daemon stops. */
void bus_request_cancel_all(Bus *b);
