/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A job: one piece of work on one GPU that a user or vgpud itself has asked for. It waits in the lane of the
 * GPU, runs once, ends, and is freed as soon as its end has been announced.
 *
 * Each kind has a file of its own (job-create.c …): a struct that begins with a Job and holds the arguments and
 * the results of that kind, a constructor, and a row of functions, JobKindInfo. work/queue.c moves jobs from
 * one state to the next, work/job-done.c applies the result. */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

#include "base/error.h"
#include "base/log.h"
#include "base/uuid.h"
#include "daemon/forward.h"
#include "daemon/work/lane.h"
#include "drivers-glue/driver.h"

typedef enum JobState {
        JOB_WAITING,
        JOB_RUNNING,
        JOB_STUCK, /* past its deadline; ends when the kernel returns, if ever */
        JOB_DONE,
        JOB_FAILED,
        JOB_CANCELED,
        _JOB_STATE_MAX,
        _JOB_STATE_INVALID = -EINVAL,
} JobState;

/* What an error of the scan that follows the work means for the job. */
typedef enum JobScan {
        JOB_SCAN_OPTIONAL,   /* nothing: another scan follows */
        JOB_SCAN_PROVES_GPU, /* GPU_GONE is the job's error: the new instances have gone with the driver */
        JOB_SCAN_IS_THE_JOB, /* any error is the job's */
} JobScan;

typedef enum JobDetailKind {
        JOB_DETAIL_TEXT,
        JOB_DETAIL_NUMBER,
        JOB_DETAIL_FLAG, /* set; left out when it is not */
} JobDetailKind;

/* A fact about a job for people and programs, such as the type that the job creates. */
typedef struct JobDetail {
        const char *name; /* static: "type", "count", "mode", "value", "foreign" */
        JobDetailKind kind;
        const char *text; /* borrowed from the job */
        uint64_t number;
} JobDetail;
#define JOB_DETAILS_MAX 4

/* Why a job for several instances has left one of them as it was. */
typedef struct JobFailure {
        char uuid[UUID_STRLEN + 1];
        VgpudError error;
} JobFailure;

/* One row per kind. NULL slots: there is nothing to do. */
struct JobKindInfo {
        const char *name;      /* "create" */
        size_t size;           /* of the struct that begins with the Job */
        bool makes_instances;  /* its uuids are those of new instances */
        bool takes_instances;  /* it works on existing instances; Instance.job points to it meanwhile */
        bool changes_capacity; /* how many instances fit may be different afterwards */
        bool changes_vfs;      /* VFs come and go while it runs */
        bool survives_gpu;     /* it has succeeded if its work did, even when the GPU has left the model */
        JobScan scan;

        /* In the lane. Sets job->error on failure. May set job->scanner to another back end, or to NULL: no
         * scan shall follow. */
        void (*run)(Job *job, VgpuTarget *t);

        /* In the main thread, in this order. */
        void (*settle)(Job *job);                              /* first: records, also when the GPU has gone */
        void (*settle_instance)(Job *job, Instance *instance); /* of each instance it took that still exists */
        void (*settle_gpu)(Job *job, Gpu *gpu);                /* before the snapshot is applied */
        bool (*predict)(Job *job, const Gpu *gpu, GpuSnapshot **ret); /* the snapshot, where no scan was made */
        void (*settled)(Job *job, Gpu *gpu);                          /* after the snapshot has been applied */
        void (*log)(const Job *job, LogFields *fields);               /* of success, also of a part */
        void (*end)(Job *job);                                        /* last, also of a job that never ran */

        size_t (*describe)(const Job *job, JobDetail ret[static JOB_DETAILS_MAX]);
        void (*done)(Job *job); /* free what the struct of the kind owns */
};

/* Of a slot (key of Gpu.reserved): the instance for which it was reserved last. */
typedef struct SlotReserved {
        char uuid[UUID_STRLEN + 1];
        uint64_t usec; /* CLOCK_MONOTONIC */
} SlotReserved;

/* Told once: when the job has ended or has become stuck, or when the daemon stops without it. error->code is
 * VGPUD_ERROR_NONE on success. It need not be job->error, which belongs to the lane while the job runs. */
typedef void (*JobFinished)(Job *job, const VgpudError *error, void *userdata);

struct Job {
        LaneWork work; /* first */
        const JobKindInfo *kind;
        Model *model; /* borrowed */
        uint32_t id;  /* from 1; unique in the life of the daemon */
        JobState state;
        Gpu *gpu; /* borrowed; NULL once the GPU has gone */
        char *gpu_name;
        uid_t requester;           /* UID_INVALID: the daemon itself */
        bool internal;             /* requested by the daemon itself; no limit counts the job */
        uint64_t created_usec;     /* CLOCK_REALTIME */
        uint64_t started_usec;     /* CLOCK_REALTIME; 0 while it waits */
        sd_event_source *deadline; /* owned */

        /* Input, read-only once it runs. */
        GPtrArray *uuids; /* char *: the instances that it creates or destroys */
        const VgpuDriver *driver;
        LatestFacts *latest;    /* ref */
        GPtrArray *known_types; /* VgpuType; ref */
        GHashTable *reserved;   /* ref; Gpu.reserved, used in the lane alone */
        int runtime_fd;         /* borrowed; for GpuNotes */
        bool predictable;       /* on success skip the scan: `predict` works out what it would find */

        /* Written by the lane, read after it has come back. */
        GpuFacts *facts;           /* ref; of the moment when it began to run; NULL before */
        uint64_t began_usec;       /* CLOCK_MONOTONIC */
        const VgpuDriver *scanner; /* whose scan follows the work; NULL: none */
        GpuSnapshot *snapshot;     /* of that scan; NULL if there was none or it failed */
        VgpudError error;          /* that of the first failure, if there are any */
        GPtrArray *failures;       /* JobFailure, in the order of uuids; NULL: none, or the job has one uuid */

        JobFinished finished; /* may be NULL */
        void *finished_userdata;
};

/* "waiting", "running", "stuck", "done", "failed", "canceled" */
const char *job_state_to_string(JobState state);

/* For the constructors of the kinds. The GPU must have a back end. */
Job *job_new(const JobKindInfo *kind, Gpu *gpu, uid_t requester);
Job *job_free(Job *job);

/* Call `finished` when the job has ended; replaces an earlier one (one caller waits for one job). */
void job_on_finished(Job *job, JobFinished finished, void *userdata);
/* Call it now, and never again. */
void job_tell_finished(Job *job, const VgpudError *error);

/* Lane: LaneWork.run of every job. */
void job_run(LaneWork *w, VgpuIo *io);

/* Lane. Note that the job has failed for one of its instances. Empties the error. */
void job_add_failure(Job *job, const char *uuid, VgpudError *error);
/* NULL: the job has not failed for the instance, or the job is about one instance alone. */
const VgpudError *job_find_failure(const Job *job, const char *uuid);

/* How many details there are. */
size_t job_describe(const Job *job, JobDetail ret[static JOB_DETAILS_MAX]);
/* One of them; false: the kind has no such detail. */
bool job_get_detail(const Job *job, const char *name, JobDetail *ret);
