/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Which GPU an instance goes to when nobody said. A pure decision: no I/O, no clock, no order of hash tables.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct PlacementCandidate {
        const char *gpu;    /* sysfs name */
        bool usable;        /* it offers the type and takes jobs */
        uint32_t available; /* how many can be made now */
        uint32_t pending;   /* how many are promised to jobs that have not run yet */
} PlacementCandidate;

/* The first usable candidate, in the order given, that has room for `count` beyond what is promised; if none
 * has, the first usable one, so that the kernel itself says what is missing. -1 when none is usable. */
int placement_choose(const PlacementCandidate *candidates, size_t n, uint32_t count);
