/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The newest facts of a GPU, shared by the main thread and the lane: what waits in a lane runs with the facts
 * of the moment it begins, not with those of the moment it was asked for, between which virtual functions may
 * have come or gone. Any thread may call everything. */

#include "drivers-glue/facts.h"

typedef struct LatestFacts LatestFacts;

LatestFacts *latest_facts_new(const GpuFacts *facts);
LatestFacts *latest_facts_ref(LatestFacts *l);
LatestFacts *latest_facts_unref(LatestFacts *l);

/* A reference. */
GpuFacts *latest_facts_get(LatestFacts *l);
/* Take these, unless there are newer ones. */
void latest_facts_offer(LatestFacts *l, const GpuFacts *facts);
