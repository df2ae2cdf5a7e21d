/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Applies the result of a quick scan: the instances that were added or removed on some parents of a GPU. The
 * function predicts the snapshot of a full scan and applies it (model/apply.h). The full scan that follows
 * corrects the prediction. */

#include "daemon/forward.h"
#include "drivers-glue/snapshot.h"

typedef enum ApplyParents {
        APPLY_PARENTS_DONE,       /* applied, or nothing has changed */
        APPLY_PARENTS_UNFINISHED, /* an instance is in the making or going: read again. The rest was applied */
        APPLY_PARENTS_UNKNOWN,    /* only a scan can tell the effect of the change; nothing was applied */
} ApplyParents;

/* `found`: from VgpuDriver.find_instances() for these parents (names), read in the lane with the facts that the
 * GPU still has. Its instances are changed. */
ApplyParents apply_parents(Gpu *gpu, const GPtrArray *parents, GpuSnapshot *found);
