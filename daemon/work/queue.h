/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The one writer of Model.jobs, Gpu.current, Gpu.waiting, Instance.job and the state of every job. */

#include <stdbool.h>

#include "daemon/work/job.h"

/* Shares of the queue of a GPU, so that no user keeps others out: one user may have half of the places, and the
 * last eighth is for root. vgpud itself (UID_INVALID) has no limit. */
#define QUEUE_USER_SHARE(places) (((places) + 1) / 2)
#define QUEUE_ROOT_SHARE(places) ((places) / 8)

/* Limit of instances that the waiting and running jobs of one user create: each instance has a record. Root has
 * no limit. */
#define QUEUE_INSTANCES_PER_USER_MAX 2048U

/* True if the queue of the GPU has no place for another job of the requester. Internal jobs do not count. */
bool queue_is_full(const Gpu *gpu, uid_t requester);
/* Check that the requester may add a job. `n_before`: jobs of the same request, for other GPUs, that will be
 * added first. Errors: CANCELED (the daemon stops), TOO_MANY_JOBS. */
int queue_check(Gpu *gpu, uid_t requester, uint32_t n_before, VgpudError *reterr);
/* Check that the requester may add a job that creates `count` instances. Error: TOO_MANY_JOBS. */
int queue_check_instances(Model *m, uid_t requester, uint32_t count, VgpudError *reterr);

/* Takes ownership, announces the job and passes it to the lane of the GPU. */
void queue_submit(Job *job);

/* Cancel a waiting job. IN_USE: the job runs, and a kernel operation cannot be interrupted. */
int queue_cancel(Job *job, VgpudError *reterr);
/* End all waiting jobs of a GPU with an error. A running job continues. */
void queue_cancel_waiting(Gpu *gpu, VgpudErrorCode code, const char *message);

/* True if the lane of the GPU has work, and the GPU is not known to be stuck. */
bool queue_is_busy(const Gpu *gpu);
/* True if a job that changes the VFs of the GPU runs. */
bool queue_changes_vfs(const Gpu *gpu);

/* Separate the jobs from a GPU that is about to release its lane. A running job continues without the GPU. */
void queue_detach(Gpu *gpu);
/* Answer all callers because the daemon stops, and leave the jobs to their threads. */
void queue_abandon_all(Model *m, const char *message);
