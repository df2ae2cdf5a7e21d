/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "daemon/requests/destroy.h"

#include <inttypes.h>

#include "daemon/model/gpu.h"
#include "daemon/model/instance.h"
#include "daemon/model/model.h"
#include "daemon/work/job-destroy.h"
#include "daemon/work/queue.h"

static Job *destroy_submit(Instance *instance, bool internal, uid_t requester, uint64_t timeout_usec)
{
        g_autoptr(GPtrArray) instances = g_ptr_array_new();
        Job *job;

        g_ptr_array_add(instances, instance);
        job = job_destroy_new(instance->gpu, requester, timeout_usec, instances, internal);
        queue_submit(job);

        return job;
}

void request_undo(Instance *instance)
{
        instance->wants_undo = false;
        if (instance->job || !instance->gpu->lane)
                return;

        (void)destroy_submit(instance, true, 0, 0);
}

int request_destroy(Model *m, Instance *instance, bool foreign, uid_t requester, uint64_t timeout_usec,
                    Job **ret, VgpudError *reterr)
{
        Gpu *gpu = instance->gpu;
        int r;

        if (instance->origin == INSTANCE_ORIGIN_FOREIGN && !foreign)
                return vgpud_error_setf(reterr, VGPUD_ERROR_FOREIGN,
                                        "instance %s was not made by vgpud; to remove it all the same, say so "
                                        "(--foreign)",
                                        instance->desc->uuid);
        /* The GPU first: that it is stuck says more than that a job works on the instance. */
        r = gpu_check_driven(gpu, reterr);
        if (r < 0)
                return r;
        if (instance->job)
                return vgpud_error_setf(reterr, VGPUD_ERROR_IN_USE, "job %" PRIu32 " (%s) works on instance %s",
                                        instance->job->id, instance->job->kind->name, instance->desc->uuid);
        r = queue_check(gpu, requester, reterr);
        if (r < 0)
                return r;
        *ret = destroy_submit(instance, false, requester, timeout_usec);
        return 0;
}
