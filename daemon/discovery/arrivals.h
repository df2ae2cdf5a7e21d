/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a discovery means for the model: GPUs come, change, go. The one writer of Gpu.facts, driver and lane. */

#include "daemon/forward.h"
#include "drivers-glue/facts.h"

/* `facts`: GpuFacts of all GPUs that the discovery found. `began_usec`: CLOCK_MONOTONIC of its begin; what was
 * read of a GPU since then is newer. */
void arrivals_apply(Model *m, const GPtrArray *facts, uint64_t began_usec);

/* Facts of one GPU were read again. Ignored, with a new discovery, where they are older than what is known. */
void arrivals_update_facts(Gpu *gpu, const GpuFacts *facts);

/* The daemon ends: remove all GPUs without announcing it. */
void arrivals_remove_all(Model *m);
