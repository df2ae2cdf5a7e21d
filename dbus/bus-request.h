/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Runs a call that queues jobs: check, questions to polkit, jobs, answer. A handler reads the arguments and
 * describes the rest in a BusRequest. With the option "wait" the answer follows when all jobs have ended, when
 * one is stuck, or when the caller's timeout has passed; the jobs go on in the last two cases. */

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
        BUS_ANSWER_CREATED, /* o, aa{sv}: the job and its instances; for a call with one job */
} BusAnswer;

typedef struct BusRequest {
        const BusAuthzQuestion *questions;
        size_t n_questions;
        uid_t requester; /* see bus_request_identify() */
        BusWait wait;
        BusAnswer answer;
        void *arguments; /* borrowed; passed to the two functions */

        /* Refuses a call that cannot succeed, before a person types a password. NULL: no check. */
        int (*check)(const void *arguments, VgpudError *reterr);
        /* Queues the jobs (Job). */
        int (*queue)(void *arguments, uid_t requester, GPtrArray *ret_jobs, VgpudError *reterr);
} BusRequest;

/* Get the effective uid of the caller, before the handler reads the arguments. If the result is 0, the handler
 * goes on. The handler must return any other result: the call is refused, or will be dispatched again. */
int bus_request_identify(Bus *b, sd_bus_message *call, uid_t *ret, sd_bus_error *ret_error);

/* Run the request, as the last step of a handler. If polkit is asked, the call is dispatched again after the
 * reply; see bus-authz.h. */
int bus_request_run(Bus *b, sd_bus_message *call, const BusRequest *request, sd_bus_error *ret_error);

/* Answer the call that waits for this job, if there is one. The job has ended, and the model must still have
 * it. */
void bus_request_end(Bus *b, const Job *job);

/* Answer all calls that wait with CANCELED, because the daemon stops. */
void bus_request_cancel_all(Bus *b);
