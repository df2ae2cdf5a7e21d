/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Applies the kept settings of a GPU (model/keep.h) that are not settled: after a boot of the host, and
 * whenever a driver takes the GPU, but not after a restart of vgpud, and not against what a user has set since.
 * The order is mode "mig", number of VFs, other modes: MIG mode changes only without VFs, the heterogeneous
 * mode only with them.
 *
 * VFs are never disabled, and a number other than 0 is never changed. Each setting is applied by an internal
 * job; after a failure the next job follows after a pause, which grows from 1 s to 5 min.
 *
 * Main thread only. */

#include <stdbool.h>

#include "base/error.h"
#include "daemon/forward.h"

/* Take the next step if one is due: queue one job, or none. True: all is applied, so that instances may be
 * created on the GPU. False: a job runs, or the settings wait; kept_get_waiting() says for what. Calls
 * model_wish_converge() for the GPU when the next step is due. */
bool kept_step(Gpu *gpu);

/* The reason of a wait; NULL: all is applied, nothing is kept, or a job is in progress. */
const VgpudError *kept_get_waiting(const Gpu *gpu);

/* Add a clause (char *) for each GPU with kept settings to apply, also for missing GPUs. */
void kept_add_missing(Model *m, GPtrArray *clauses);
