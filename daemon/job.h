/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A job: one piece of work on one GPU that somebody asked for. It waits in the lane of the GPU, runs once,
 * ends, and is forgotten as soon as its end has been announced. Jobs are made by manager_create() and friends.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

#include "base/error.h"
#include "drivers-glue/driver.h"
#include "daemon/lane.h"
#include "daemon/latest-facts.h"

typedef struct Manager Manager;
typedef struct Gpu Gpu;
typedef struct Instance Instance;
typedef struct Job Job;

typedef enum JobKind {
        JOB_CREATE,
        JOB_DESTROY,
        JOB_SET_VFS,
        JOB_CONFIGURE,
        JOB_RESCAN, /* asked for by a user; the scans that events cause are no jobs */
        _JOB_KIND_MAX,
        _JOB_KIND_INVALID = -EINVAL,
} JobKind;

typedef enum JobState {
        JOB_WAITING,
        JOB_RUNNING,
        JOB_STUCK, /* past its deadline; ends when the kernel comes back, if ever */
        JOB_DONE,
        JOB_FAILED,
        JOB_CANCELED,
        _JOB_STATE_MAX,
        _JOB_STATE_INVALID = -EINVAL,
} JobState;

/* Which slot an instance is made in; written down before it is touched. */
typedef struct JobClaim {
        const char *uuid; /* borrowed from the job */
        char *slot;
        char *restore; /* NULL: nothing */
} JobClaim;

/* For whom a slot of a GPU was claimed last. */
typedef struct SlotClaimed {
        char uuid[UUID_STRLEN + 1];
        uint64_t usec; /* CLOCK_MONOTONIC */
} SlotClaimed;

/* Told once, when the job has ended, has become stuck, or the daemon stops without it. error->code is
 * VGPUD_ERROR_NONE when all went well; it need not be job->error, which belongs to the lane for as long as the
 * job runs. */
typedef void (*JobFinished)(Job *job, const VgpudError *error, void *userdata);

struct Job {
        LaneWork work;    /* first */
        Manager *manager; /* borrowed */
        uint32_t id;      /* from 1, never used again by this daemon */
        JobKind kind;
        JobState state;
        Gpu *gpu; /* borrowed; NULL once the GPU has gone */
        char *gpu_name;
        uid_t requester;
        uint64_t created_usec;     /* CLOCK_REALTIME */
        uint64_t started_usec;     /* CLOCK_REALTIME; 0 while it waits */
        uint64_t timeout_usec;     /* from its start */
        sd_event_source *deadline; /* owned */

        /* what to do: owned copies, read-only once it runs */
        const VgpuDriver *driver;
        LatestFacts *latest;    /* ref */
        GpuFacts *facts;        /* ref; with which it began to run; NULL before */
        GPtrArray *uuids;       /* char *: the instances it makes or removes, at least one (none: rescan) */
        char *type_id;          /* create */
        char *parent;           /* create; NULL: any */
        char *name;             /* create; NULL: none */
        GPtrArray *attributes;  /* create: VgpuAttribute */
        InstanceDesc *instance; /* destroy */
        bool undo;              /* destroy: what an earlier daemon left; no limit counts it */
        uint32_t vfs;           /* set-vfs: how many */
        char *mode, *value;     /* configure */

        GPtrArray *known_types; /* VgpuType; ref */
        int records_fd;         /* borrowed; the folder of the records, for records_claim() */
        GHashTable *claimed;    /* ref; Gpu.claimed, used in the lane alone */
        uint64_t known_usec;    /* destroy: CLOCK_MONOTONIC of the look at the GPU that showed the instance */
        int runtime_fd;         /* borrowed; for GpuNotes */

        /* Set where looking at all of the GPU takes long, so that it is not done while somebody waits for the
         * answer: what was known when the job was made; ref. */
        GpuSnapshot *known;

        uint64_t began_usec; /* CLOCK_MONOTONIC, in the lane */

        /* what came of it: written by the lane, read after it has come back */
        GpuSnapshot *snapshot;        /* the scan that ended it; NULL if there was none or it failed */
        GPtrArray *made;              /* create: InstanceDesc; NULL if it failed */
        GPtrArray *claims;            /* create: JobClaim; NULL if there were none */
        GpuFacts *facts_now;          /* set-vfs: read afterwards; NULL if that failed */
        const VgpuDriver *driver_now; /* set-vfs: the back end for these facts; the snapshot is of it */
        uint32_t vfs_now;             /* set-vfs: how many there are */
        bool probe_again; /* set-vfs: sriov_drivers_autoprobe could not be set back, and is marked */
        VgpudError error;

        JobFinished finished; /* may be NULL */
        void *finished_userdata;
};

const char *job_kind_to_string(JobKind kind); /* "create", "destroy", "set-vfs", "configure", "rescan" */
const char *job_state_to_string(
                JobState state); /* "waiting", "running", "stuck", "done", "failed", "canceled" */

/* Call `finished` when the job has ended; replaces an earlier one (one caller waits for one job). */
void job_on_finished(Job *job, JobFinished finished, void *userdata);

/* Take it out of the queue. IN_USE when it runs already: nothing can call the kernel back. */
int job_cancel(Job *job, VgpudError *reterr);
