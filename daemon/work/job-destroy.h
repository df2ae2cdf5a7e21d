/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Jobs that destroy instances of one GPU. Each is tried, also after another could not be destroyed. */

#include "daemon/work/job.h"

typedef struct JobDestroy {
        Job job; /* first */

        GPtrArray *instances; /* InstanceDesc, in the order of job.uuids */
        uint64_t known_usec;  /* CLOCK_MONOTONIC of the scan that showed the instances */

        /* Written by the lane, read after it has come back. */
        GPtrArray *left; /* UUIDs, borrowed from job.uuids: could not be destroyed */
} JobDestroy;

extern const JobKindInfo job_kind_destroy;

/* `instances`: Instance, of this GPU, none of which a job works on. `internal`: vgpud itself removes an
 * instance that an interrupted job left. */
Job *job_destroy_new(Gpu *gpu, uid_t requester, uint64_t timeout_usec, const GPtrArray *instances,
                     bool internal);
