/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Applies the result of a quick scan: the instances that were added or removed on some parents of a GPU.
 * apply_parents() predicts the snapshot of a full scan and applies the prediction (model/apply.h). The full
 * scan that follows corrects the prediction. If the back end cannot predict the availability of the types, a
 * GPU that is slow to scan shows the availability of the last scan until the full scan ends. */

#include "daemon/forward.h"
#include "drivers-glue/snapshot.h"

typedef enum ApplyParents {
        APPLY_PARENTS_DONE,       /* applied, or nothing has changed */
        APPLY_PARENTS_UNFINISHED, /* the kernel is still adding or removing an instance: repeat the quick scan.
                                   * The other changes were applied */
        APPLY_PARENTS_UNKNOWN,    /* only a scan can tell the effect of the change; nothing was applied */
} ApplyParents;

/* `parents`: names. `found`: the result of VgpuDriver.find_instances() for these parents, read with the present
 * facts of the GPU; the function completes the instances in it. */
ApplyParents apply_parents(Gpu *gpu, const GPtrArray *parents, GpuSnapshot *found);
