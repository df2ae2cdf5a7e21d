/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The newest facts of a GPU, shared by the main thread and the lane. Work in a lane uses the facts of the
 * moment when the work begins: VFs may come or go while the work waits. Any thread may call the functions. */

#include "drivers-glue/facts.h"

typedef struct LatestFacts LatestFacts;

LatestFacts *latest_facts_new(const GpuFacts *facts);
LatestFacts *latest_facts_ref(LatestFacts *l);
LatestFacts *latest_facts_unref(LatestFacts *l);

/* Returns a new reference. */
GpuFacts *latest_facts_get(LatestFacts *l);
/* Replace the stored facts unless `facts` are older. */
void latest_facts_offer(LatestFacts *l, const GpuFacts *facts);
