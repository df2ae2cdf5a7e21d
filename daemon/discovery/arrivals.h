/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Applies the result of a discovery to the model: adds, changes and removes GPUs. The one writer of Gpu.facts,
 * driver and lane. */

#include "daemon/forward.h"
#include "drivers-glue/facts.h"

/* `facts`: GpuFacts of all GPUs of the discovery. `blocked`: BlockedDevice of all devices left out because a
 * read does not return; NULL: none. A new GPU among them is stuck at once, a known GPU after [jobs] timeout.
 * `began_usec`: CLOCK_MONOTONIC of the start of the discovery. Facts of a GPU that were read later stay. */
void arrivals_apply(Model *m, const GPtrArray *facts, const GPtrArray *blocked, uint64_t began_usec);

/* Apply new facts of one GPU. If the facts may be outdated, ignore them and wish for another discovery. */
void arrivals_update_facts(Gpu *gpu, const GpuFacts *facts);

/* Remove all GPUs without announcements, while the daemon stops. */
void arrivals_remove_all(Model *m);
