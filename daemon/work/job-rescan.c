/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "daemon/work/job-rescan.h"

#include "daemon/model/gpu.h"
#include "daemon/model/apply.h"

static void job_rescan_update_gpu(Job *job, Gpu *gpu)
{
        apply_retry_undos(gpu);
}

const JobKindInfo job_kind_rescan = {
        .name = "rescan",
        .size = sizeof(Job),
        .scan = JOB_SCAN_IS_THE_JOB,
        .update_gpu = job_rescan_update_gpu,
};

Job *job_rescan_new(Gpu *gpu, uid_t requester)
{
        return job_new(&job_kind_rescan, gpu, requester);
}
