/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Explicit rescans. Scans after events are no jobs (work/scan.c). */

#include "daemon/work/job.h"

extern const JobKindInfo job_kind_rescan;

Job *job_rescan_new(Gpu *gpu, uid_t requester);
