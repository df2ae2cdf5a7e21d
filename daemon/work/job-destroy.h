/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Jobs that destroy instances of one GPU. A failure does not stop the job. If the job has several instances,
 * Job.failures has one entry for each instance whose removal failed. */

#include "daemon/work/job.h"

typedef enum JobDestroyFlags {
        JOB_DESTROY_INTERNAL = 1 << 0, /* removal of an instance that an interrupted job left */
        JOB_DESTROY_FOREIGN = 1 << 1,  /* the caller included instances of other programs */
} JobDestroyFlags;

typedef struct JobDestroy {
        Job job; /* first */
        bool foreign;

        GPtrArray *instances; /* InstanceDesc, in the order of job.uuids */
        uint64_t known_usec;  /* CLOCK_MONOTONIC of the scan that showed the instances */
} JobDestroy;

extern const JobKindInfo job_kind_destroy;

/* `instances`: Instance, of the GPU, without jobs. `flags`: bits of JobDestroyFlags. */
Job *job_destroy_new(Gpu *gpu, uid_t requester, const GPtrArray *instances, unsigned flags);
