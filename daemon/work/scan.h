/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Scans after events or wishes of the model; the final scan of a job belongs to the job (work/job.c). The one
 * writer of Gpu.scan, scan_again and debounce.
 *
 * A scan of this file gives way: it stops before the next parent when a job waits in the lane, and begins again
 * behind it. To put jobs before scans in the queue would not help a job that comes during a scan. Under steady
 * load a scan gives way for SCAN_YIELD_USEC and then runs to its end. */

#include "daemon/forward.h"

/* Start the scan wanted by gpu_want_scan(), at once or after the debounce time. Does nothing without a wish. */
void scan_start_wanted(Gpu *gpu);

/* Cancel the scan, or let it end without the GPU, before the lane is released. */
void scan_abandon(Gpu *gpu);
