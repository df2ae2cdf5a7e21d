/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Jobs that set a mode of a GPU (GpuSnapshot.modes). */

#include "daemon/work/job.h"

typedef struct JobConfigure {
        Job job; /* first */
        char *mode, *value;
} JobConfigure;

extern const JobKindInfo job_kind_configure;

Job *job_configure_new(Gpu *gpu, uid_t requester, const char *mode, const char *value);
