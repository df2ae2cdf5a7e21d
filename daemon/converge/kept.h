/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Applies the kept settings of a GPU (model/keep.h) that are not settled: after a boot of the host, and each
 * time that a driver takes the GPU. A restart of vgpud applies nothing again, and a setting that a user has
 * changed since stays. The order is mode "mig", number of VFs, other modes: MIG mode changes only
 * without VFs, the heterogeneous mode only with VFs.
 *
 * VFs are never disabled, and a number other than 0 is never changed. Each setting is applied by an internal
 * job; after a failure the next job follows after a pause, which grows from 1 s to 5 min.
 *
 * Main thread only. */

#include <stdbool.h>

#include "base/error.h"
#include "daemon/forward.h"

/* Take the next step if one is due: queue one job, or none. True: all kept settings are settled, so instances
 * may be created on the GPU. False: a job runs, or the settings wait; kept_get_waiting() has the reason. When
 * the next step is due, model_wish_converge() is called for the GPU. */
bool kept_step(Gpu *gpu);

/* The reason of a wait; NULL: all is settled, nothing is kept, or a job is in progress. */
const VgpudError *kept_get_waiting(const Gpu *gpu);

/* Add a clause (char *) for each GPU with kept settings that are not settled, and for each GPU with kept
 * settings that the host does not have. */
void kept_add_missing(Model *m, GPtrArray *clauses);
