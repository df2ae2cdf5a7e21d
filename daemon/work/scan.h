/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Scans after events or wishes of the model; the final scan of a job belongs to the job (work/job.c). The one
 * writer of Gpu.scan, scan_again, debounce and quick_*.
 *
 * A scan reads every attribute of every type of every parent, which takes long on a large GPU. So an event of
 * an instance at once starts a quick scan, which reads only the instances on the parent of the event.
 * model/apply-parents.c shows the instances that came or went. A scan of the whole GPU follows after the
 * debounce time and corrects the result.
 *
 * A scan of this file gives way: when a job or quick scan waits in the lane, the scan stops before the next
 * type, parent or VF, and begins again after that work. An order of the queue with jobs before scans would not
 * help a job that comes during a scan. A scan gives way for at most SCAN_YIELD_USEC and then runs to its end.
 */

#include <stdbool.h>

#include "daemon/forward.h"

/* Start the scan that gpu_want_scan() asked for, at once or after the debounce time. Does nothing if no scan is
 * wanted. */
void scan_start_wanted(Gpu *gpu);

/* Handle an event of an instance: start a quick scan of its parent. `gone`: the event says that the instance
 * goes. The caller must also call gpu_want_scan(). No quick scan starts if the model shows the change already,
 * or if the running job works on this instance, because the job shows the change at its end. */
void scan_instance(Gpu *gpu, const char *parent, const char *uuid, bool gone);
/* Start a quick scan of a parent, after an event that does not name an instance. */
void scan_parent(Gpu *gpu, const char *parent);

/* Cancel the scans of a GPU that is about to release its lane. A running scan ends without the GPU. */
void scan_abandon(Gpu *gpu);
