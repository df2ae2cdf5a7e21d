/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Scans of a GPU that events or the model call for; the scan that ends a job is part of the job (work/job.c).
 * The one writer of Gpu.scan, scan_again, debounce and wanted_scan. */

#include "daemon/forward.h"

/* Start the scan that gpu_want_scan() has recorded, at once or after the debounce time; nothing when there is
 * none. */
void scan_start_wanted(Gpu *gpu);

/* The lane is about to be released: cancel the scan, or let it end without the GPU. */
void scan_abandon(Gpu *gpu);
