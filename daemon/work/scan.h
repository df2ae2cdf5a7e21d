/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Scans after events or wishes of the model; the final scan of a job belongs to the job (work/job.c). The one
 * writer of Gpu.scan, scan_again, debounce and quick_*.
 *
 * A scan reads every attribute of every type of every parent, which takes long on a large GPU. So an event of
 * an instance starts a quick scan at once, which reads only the instances on the parent of the event;
 * model/apply-parents.c shows what came or went. The scan follows after the debounce and has the last word.
 *
 * A scan of this file gives way: it stops before the next parent when a job or quick scan waits in the lane,
 * and begins again behind it. To put jobs before scans in the queue would not help a job that comes during a
 * scan. Under steady load a scan gives way for SCAN_YIELD_USEC and then runs to its end. */

#include <stdbool.h>

#include "daemon/forward.h"

/* Start the scan wanted by gpu_want_scan(), at once or after the debounce time. Does nothing without a wish. */
void scan_start_wanted(Gpu *gpu);

/* After an event of an instance; a scan must be wanted too. `gone`: the event says that the instance goes.
 * Starts a quick scan of its parent, unless the event tells nothing new: the model shows its effect already, or
 * a job for this instance runs, whose result shows it. */
void scan_instance(Gpu *gpu, const char *parent, const char *uuid, bool gone);
/* The same for an event of a VF, which does not tell about which instance it is. */
void scan_parent(Gpu *gpu, const char *parent);

/* Cancel the scans, or let them end without the GPU, before the lane is released. */
void scan_abandon(Gpu *gpu);
