/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Calls whose answers name jobs, and the results of the jobs. */

#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "cli/host/host.h"
#include "cli/output/errors.h"

/* The signature of the answer to a call, and what the answer names. */
typedef enum CallKind {
        CALL_JOB,          /* o, or o and further values: one job */
        CALL_JOBS,         /* ao: several jobs */
        CALL_NO_JOB,       /* no job: the answer ends the call */
        CALL_GET_JOB,      /* a{sv} of GetJob: a job that may have ended */
        CALL_INSTANCE_JOB, /* v: the property Job of an instance; read again while the instance has a job */
} CallKind;

/* A job of a call. */
typedef struct CallJob {
        uint32_t id;
        bool done;
        bool stuck;
        char *result;    /* "done", "failed", "canceled"; NULL: not known */
        ErrorInfo error; /* no name: no error */
} CallJob;

typedef struct Call {
        sd_bus_message *message; /* owned */
        const char *object;      /* borrowed; as the user named it */
        char *path;              /* owned; CALL_INSTANCE_JOB: the instance */
        CallKind kind;

        /* the result */
        bool sent;
        bool done;              /* the call failed, or all jobs have ended, or --no-block */
        bool timed_out;         /* --timeout has passed */
        GPtrArray *jobs;        /* CallJob; NULL before the answer */
        sd_bus_message *answer; /* owned; NULL before the answer */
        ErrorInfo error; /* the error of the call, or of the first job that failed; without a name: none */

        sd_event_source *timer;
        struct Waiter *waiter;
} Call;

static inline bool call_succeeded(const Call *call)
{
        return call->done && !call->error.name;
}

/* The number of the first job; 0: none. */
uint32_t call_job_id(const Call *call);

unsigned call_n_jobs(const Call *call);
CallJob *call_job(const Call *call, unsigned i);

/* True if the job, or any job of the call, goes on. */
bool call_job_waits(const Call *call, const CallJob *job);
bool call_waits(const Call *call);
CallJob *call_find_waiting(const Call *call, uint32_t id); /* NULL: no such job goes on */

/* True for a call that changes nothing: polkit is not asked, so all such calls can be sent at once. */
static inline bool call_only_waits(const Call *call)
{
        return call->kind == CALL_GET_JOB || call->kind == CALL_INSTANCE_JOB;
}

/* Reads the jobs from an answer. Returns 0 or a negative errno. */
int call_read_answer(Call *call, sd_bus_message *answer);

/* call_job_set_ended() records the end of a job, as JobRemoved or GetJob reports it. call_job_set_stuck()
 * records that a job is stuck, with the error GpuStuck. `info` names the instances, and may be NULL for a stuck
 * job. */
void call_job_set_ended(CallJob *job, const JobInfo *info);
void call_job_set_stuck(CallJob *job, const JobInfo *info, uint64_t job_timeout_usec);

/* call_collect_error() sets the error of the call to the error of the first failed job, with the numbers of all
 * failed jobs. call_set_timeout() sets the error Timeout; `jobs` (may be NULL) names the instances. */
void call_collect_error(Call *call);
void call_set_timeout(Call *call, const Host *jobs, uint64_t usec);

void error_add_instances(ErrorInfo *e, const JobInfo *info); /* info may be NULL */

void calls_done(Call *calls, size_t n_calls);
