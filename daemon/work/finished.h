/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The jobs that ended most recently, in memory only. The ring drops the job that ended first, and cuts long
 * texts. Main thread only; work/queue.c adds the jobs. */

#include <systemd/sd-id128.h>

#include "daemon/work/job.h"

/* Number of jobs that the ring keeps. */
#define FINISHED_MAX 256
/* Longest message or hint, in bytes without the terminator: of a job, and of one of its failures. */
#define FINISHED_TEXT_MAX         1024
#define FINISHED_FAILURE_TEXT_MAX 256

typedef struct FinishedFailure {
        sd_id128_t uuid;
        VgpudError error;
} FinishedFailure;

typedef struct FinishedJob {
        uint32_t id;
        const char *kind; /* static: JobKindInfo.name */
        char *gpu_name;
        sd_id128_t *uuids; /* order of Job.uuids */
        size_t n_uuids;
        JobState result;           /* JOB_DONE, JOB_FAILED, JOB_CANCELED */
        VgpudError error;          /* code VGPUD_ERROR_NONE: JOB_DONE */
        FinishedFailure *failures; /* copy of Job.failures */
        size_t n_failures;
        JobDetail details[JOB_DETAILS_MAX]; /* texts are owned */
        size_t n_details;
        uid_t requester;       /* UID_INVALID: the daemon itself */
        uint64_t created_usec; /* CLOCK_REALTIME */
        uint64_t started_usec; /* CLOCK_REALTIME; 0: the job never began */
        uint64_t ended_usec;   /* CLOCK_REALTIME */
} FinishedJob;

Finished *finished_new(void);
Finished *finished_free(Finished *finished);

/* Add a job that has its final state and error. */
void finished_add(Finished *finished, const Job *job);

/* Find an ended job by its number; NULL: the ring does not have it. `finished` may be NULL. */
const FinishedJob *finished_get(const Finished *finished, uint32_t id);

/* An array of all FinishedJob, borrowed, sorted by number. Valid until the next finished_add(). */
GPtrArray *finished_list(const Finished *finished);
