/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A job: one piece of work on one GPU, requested by a user or by vgpud. A job waits in the lane of the GPU,
 * runs at most once, ends, and is freed after the announcement of its end.
 *
 * Each kind has its own file (job-create.c …): a struct that begins with a Job and holds arguments and results,
 * a constructor, and a row of functions, JobKindInfo. work/queue.c moves jobs between states, work/job-done.c
 * applies results. */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

#include "base/error.h"
#include "base/log.h"
#include "base/shared-fd.h"
#include "base/uuid.h"
#include "daemon/forward.h"
#include "daemon/work/lane.h"
#include "drivers-glue/driver.h"

typedef enum JobState {
        JOB_WAITING,
        JOB_RUNNING,
        JOB_STUCK, /* past the deadline; ends when the kernel returns */
        JOB_DONE,
        JOB_FAILED,
        JOB_CANCELED,
        _JOB_STATE_MAX,
        _JOB_STATE_INVALID = -EINVAL,
} JobState;

/* The effect that a failure of the final scan has on the result of the job. */
typedef enum JobScan {
        JOB_SCAN_OPTIONAL,   /* no effect: another scan follows */
        JOB_SCAN_PROVES_GPU, /* GPU_GONE fails the job: the new instances went with the GPU */
        JOB_SCAN_IS_THE_JOB, /* any error fails the job */
} JobScan;

typedef enum JobDetailKind {
        JOB_DETAIL_TEXT,
        JOB_DETAIL_NUMBER,
        JOB_DETAIL_FLAG, /* present only if set */
} JobDetailKind;

/* A fact about a job for people and programs, such as the type that the job creates. */
typedef struct JobDetail {
        const char *name; /* static: "type", "count", "mode", "value", "foreign" */
        JobDetailKind kind;
        const char *text; /* borrowed from the job */
        uint64_t number;
} JobDetail;
#define JOB_DETAILS_MAX 4

/* The error of one instance in a job for several. */
typedef struct JobFailure {
        char uuid[UUID_STRLEN + 1];
        VgpudError error;
} JobFailure;

/* One row per kind. A function that is NULL is skipped. */
struct JobKindInfo {
        const char *name;      /* "create" */
        size_t size;           /* size of the struct of the kind */
        bool makes_instances;  /* uuids name new instances */
        bool takes_instances;  /* uuids name existing instances, whose Instance.job is the job */
        bool changes_capacity; /* the number of available instances may change */
        bool changes_vfs;      /* VFs change during the job */
        bool survives_gpu;     /* the job succeeds even if the GPU leaves the model meanwhile */
        JobScan scan;

        /* Lane. Sets job->error on failure. May set job->scanner to another back end, or to NULL for no scan.
         */
        void (*run)(Job *job, VgpuTarget *t);

        /* Main thread, called in this order. */
        void (*update_records)(Job *job);                      /* updates records, even without a GPU */
        void (*update_instance)(Job *job, Instance *instance); /* updates each instance that still exists */
        void (*update_gpu)(Job *job, Gpu *gpu);                /* updates the GPU before the snapshot */
        bool (*predict)(Job *job, const Gpu *gpu,
                        GpuSnapshot **ret);             /* predicts the snapshot if the job has not scanned */
        void (*follow_up)(Job *job, Gpu *gpu);          /* runs after the snapshot was applied */
        void (*log)(const Job *job, LogFields *fields); /* logs success, even partial success */
        void (*end)(Job *job);                          /* last, even for a job that never ran */

        size_t (*describe)(const Job *job, JobDetail ret[static JOB_DETAILS_MAX]);
        void (*done)(Job *job); /* frees the fields of the kind */
};

/* A value of Gpu.reserved, whose keys are slots: the newest reservation of the slot. */
typedef struct SlotReserved {
        char uuid[UUID_STRLEN + 1];
        uint64_t usec; /* CLOCK_MONOTONIC */
} SlotReserved;

/* Called once: when the job ends or becomes stuck, or when the daemon stops first. error->code is
 * VGPUD_ERROR_NONE on success. `error` may differ from job->error, which belongs to the lane while the job
 * runs. */
typedef void (*JobFinished)(Job *job, const VgpudError *error, void *userdata);

struct Job {
        LaneWork work; /* first */
        const JobKindInfo *kind;
        Model *model; /* borrowed */
        uint32_t id;  /* first id: 1; unique until the daemon ends */
        JobState state;
        Gpu *gpu; /* borrowed; NULL once the GPU has gone */
        char *gpu_name;
        uid_t requester;           /* UID_INVALID: the daemon itself */
        Keep *keep;                /* owned; kept settings that count if the job succeeds; NULL: none */
        bool internal;             /* requested by the daemon itself; no limit counts the job */
        uint64_t created_usec;     /* CLOCK_REALTIME */
        uint64_t started_usec;     /* CLOCK_REALTIME, when the main thread heard of the start; 0: not yet */
        sd_event_source *deadline; /* owned */

        /* Input; read-only once the job runs. */
        GPtrArray *uuids; /* char *: the created or destroyed instances */
        const VgpuDriver *driver;
        LatestFacts *latest;    /* ref */
        GPtrArray *known_types; /* VgpuType; ref */
        VgpuSlots *slots;       /* ref; Gpu.slots */
        bool take_bound;        /* VgpuTarget.take_bound */
        GHashTable *reserved;   /* ref; Gpu.reserved, used in the lane alone */
        SharedFd *runtime;      /* ref; for GpuNotes */
        bool predictable;       /* skip the scan on success: `predict` computes the snapshot */

        /* Written by the lane; read afterwards by the main thread. */
        GpuFacts *facts;           /* ref; facts at the start of the run; NULL before */
        uint64_t began_usec;       /* CLOCK_MONOTONIC, when the lane began to run the job */
        const VgpuDriver *scanner; /* back end of the final scan; NULL: no scan */
        GpuSnapshot *snapshot;     /* result of the final scan; NULL: no scan, or failed */
        VgpudError error;          /* the first failure, if there are any */
        GPtrArray *failures;       /* JobFailure, in the order of uuids; NULL: none, or the job has one uuid */

        JobFinished finished; /* may be NULL */
        void *finished_userdata;
};

/* "waiting", "running", "stuck", "done", "failed", "canceled" */
const char *job_state_to_string(JobState state);

/* Used by the constructors of the kinds. The GPU must have a back end. */
Job *job_new(const JobKindInfo *kind, Gpu *gpu, uid_t requester);
Job *job_free(Job *job);

/* Set the callback for the end of the job. It replaces an earlier callback: only one caller waits for a job. */
void job_on_finished(Job *job, JobFinished finished, void *userdata);
/* Call the callback now, once. */
void job_tell_finished(Job *job, const VgpudError *error);

/* Lane: LaneWork.run of every job. */
void job_run(LaneWork *w, VgpuIo *io);

/* Lane. Record the failure of one instance. Empties *cause. */
void job_add_failure(Job *job, const char *uuid, VgpudError *cause);
/* The error of this instance; NULL: it did not fail, or the job has only one instance. */
const VgpudError *job_find_failure(const Job *job, const char *uuid);

/* Returns the number of details. */
size_t job_describe(const Job *job, JobDetail ret[static JOB_DETAILS_MAX]);
/* True: *ret is the detail of this name. False: the kind has no such detail. */
bool job_get_detail(const Job *job, const char *name, JobDetail *ret);
