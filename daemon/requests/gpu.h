/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Requests for a whole GPU. Each queues a job; *ret stays valid at least until control returns to the event
 * loop. Common errors: UNSUPPORTED, GPU_STUCK, FAILED, TOO_MANY_JOBS, CANCELED (the daemon stops). */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "daemon/forward.h"

/* Set the number of VFs; 0: disable all. `keep`: also keep the number (model/keep.h), or forget the kept number
 * if `count` is 0. The store has a new number before the job begins, and forgets the number after the job.
 * Further errors: INVALID (too many), those of keep_begin_vfs(). */
int request_set_vfs(Gpu *gpu, uint32_t count, bool keep, uid_t requester, Job **ret, VgpudError *reterr);
/* Set a mode of the GPU (GpuSnapshot.modes). `keep`: also keep the value. Further errors: INVALID (no such mode
 * or value), those of keep_begin_mode(). */
int request_configure(Gpu *gpu, const char *mode, const char *value, bool keep, uid_t requester, Job **ret,
                      VgpudError *reterr);
int request_rescan(Gpu *gpu, uid_t requester, Job **ret, VgpudError *reterr);

/* Only check the request, before polkit is asked. */
int request_check_set_vfs(const Gpu *gpu, uint32_t count, VgpudError *reterr);
int request_check_configure(const Gpu *gpu, const char *mode, const char *value, VgpudError *reterr);
