/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The one writer of what is being done: Model.jobs, Gpu.current, Gpu.waiting, Instance.job and the state of
 * every job. */

#include <stdbool.h>

#include "daemon/work/job.h"

/* The GPU takes no more jobs of users; vgpud's own removals do not count. */
bool queue_is_full(const Gpu *gpu);
/* `n_before`: how many jobs for other GPUs the same request queues before this one. Errors: CANCELED (the
 * daemon stops), TOO_MANY_JOBS. */
int queue_check(Gpu *gpu, uid_t requester, uint32_t n_before, VgpudError *reterr);

/* Takes the job over, announces it and hands it to the lane of its GPU. */
void queue_submit(Job *job);

/* Take the job out of the queue. IN_USE when it runs: a kernel operation cannot be interrupted. */
int queue_cancel(Job *job, VgpudError *reterr);
/* End all waiting jobs of a GPU with this error. A job that has begun ends by itself. */
void queue_cancel_waiting(Gpu *gpu, VgpudErrorCode code, const char *message);

/* The lane of the GPU runs an operation that is not known to be stuck. */
bool queue_is_busy(const Gpu *gpu);
/* A job that changes the VFs of the GPU runs. */
bool queue_changes_vfs(const Gpu *gpu);

/* The GPU lets go of its lane: its jobs go on without it. */
void queue_detach(Gpu *gpu);
/* The daemon stops: answer the callers of all jobs, and leave the jobs to their threads. */
void queue_abandon_all(Model *m, const char *message);
