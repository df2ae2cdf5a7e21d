/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Requests to destroy instances. */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "daemon/forward.h"

/* Queue a job. `foreign`: destroy the instance even if another program created it. *ret stays valid at least
 * until control returns to the event loop. Errors: FOREIGN, IN_USE (another job works on the instance),
 * UNSUPPORTED, GPU_STUCK, FAILED, TOO_MANY_JOBS, CANCELED (the daemon stops). */
int request_destroy(Model *m, Instance *instance, bool foreign, uid_t requester, Job **ret, VgpudError *reterr);

/* Queue one job per GPU for 1 to 1024 distinct instances, in the order of the first instance of each GPU;
 * nothing is queued if one instance is refused. *ret_jobs: Job, valid as long as *ret of request_destroy().
 * Further errors: INVALID (number of instances, duplicates). */
int request_destroy_many(Model *m, const GPtrArray *instances, bool foreign, uid_t requester,
                         GPtrArray **ret_jobs, VgpudError *reterr);

/* Carry out MODEL_WISH_UNDOS for one instance. */
void request_undo(Instance *instance);
