/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Jobs that enable or disable the VFs of a GPU. */

#include "daemon/work/job.h"

typedef struct JobSetVfs {
        Job job;      /* first */
        uint32_t vfs; /* wanted number */

        /* Written by the lane; read by the main thread afterwards. */
        GpuFacts *facts_now; /* ref; facts after the change; NULL: reading failed */
        uint32_t vfs_now;
        bool probe_again; /* sriov_drivers_autoprobe was not restored, and is marked */
} JobSetVfs;

extern const JobKindInfo job_kind_set_vfs;

Job *job_set_vfs_new(Gpu *gpu, uid_t requester, uint32_t vfs);
