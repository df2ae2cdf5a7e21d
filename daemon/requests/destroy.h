/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Requests to destroy instances. */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "daemon/forward.h"

typedef enum DestroyFlags {
        DESTROY_FOREIGN = 1 << 0, /* even if another program created the instance */
        DESTROY_DEFINED = 1 << 1, /* the instance must have a definition, which stays, but is not wanted any
                                   * more (model/want.h); without the flag, the instance must have none */
} DestroyFlags;

/* Check that the flags (bits of DestroyFlags) are right for the instance, before polkit is asked. Errors:
 * FOREIGN, DEFINED, NO_SUCH_DEFINITION. */
int request_destroy_check_flags(const Instance *instance, unsigned flags, VgpudError *reterr);

/* Queue a job. *ret stays valid at least until control returns to the event loop. Further errors: IN_USE
 * (another job works on the instance), UNSUPPORTED, GPU_STUCK, FAILED, TOO_MANY_JOBS, CANCELED (the daemon
 * stops). */
int request_destroy(Model *m, Instance *instance, unsigned flags, uid_t requester, Job **ret,
                    VgpudError *reterr);

/* Queue one job per GPU for 1 to 1024 distinct instances, in the order of the first instance of each GPU;
 * nothing is queued if one instance is refused. *ret_jobs: Job, valid as long as *ret of request_destroy().
 * Further errors: INVALID (number of instances, duplicates). */
int request_destroy_many(Model *m, const GPtrArray *instances, unsigned flags, uid_t requester,
                         GPtrArray **ret_jobs, VgpudError *reterr);

/* Carry out MODEL_WISH_UNDOS for one instance. */
void request_undo(Instance *instance);
