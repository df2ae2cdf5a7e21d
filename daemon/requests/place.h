/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Collects from the model and the configuration what policy/placement.c decides by, and turns its decision into
 * the answer to a request. Decides nothing itself. */

#include "base/error.h"
#include "daemon/forward.h"
#include "drivers-glue/snapshot.h"
#include "policy/placement.h"

/* A caller's wishes for the GPU to choose. */
typedef struct PlaceHints {
        const char *strategy;        /* see placement_strategy_from_string(); NULL: the configured one */
        const char *near;            /* a PCI device or a GPU: choose a GPU close to it; NULL: none */
        const char *pool;            /* NULL: the default pool */
        int32_t numa_node;           /* required; -1: any */
        int32_t preferred_numa_node; /* -1: none */
} PlaceHints;
#define PLACE_HINTS_NONE ((PlaceHints){ .numa_node = -1, .preferred_numa_node = -1 })

/* Which GPU a request without one would get now, and why no other; see policy/placement.h. Valid until control
 * returns to the event loop. */
typedef struct Place {
        Placement *placement; /* owned */
        PlacementStrategy strategy;
        /* for place.c */
        PlacementCandidate *candidates; /* owned */
        const VgpuType **types;         /* owned; per candidate; NULL: not known to offer the type */
        VgpudErrorCode *refusals;       /* owned; per candidate, the code of its refusal */
        GPtrArray *texts;               /* owned: lists of strings that candidates borrow */
        VgpudError error;               /* of the first candidate that offers the type but takes no work */
        bool more_errors;               /* there are other such candidates */
} Place;

/* Errors: INVALID, NO_SUCH_TYPE, AMBIGUOUS. A placement in which no GPU fits is a success. */
int place_new(Model *m, const char *type, uint32_t count, const PlaceHints *hints, Place **ret,
              VgpudError *reterr);
Place *place_free(Place *place);
static inline void place_freep(Place **place)
{
        *place = place_free(*place);
}
#define _cleanup_place_ _cleanup_(place_freep)

/* The code of the error that a request gets if this rank is the best; NONE: it fits. The first rank decides for
 * a request that names no GPU, unless it is tried all the same (placement_find_hope()). */
VgpudErrorCode place_error_code(const Place *place, const PlacementRank *rank);

/* The GPU and the type for a create request that names no GPU. `chosen`: sysfs name of the GPU that was chosen
 * for the same request before, and is taken again if it still fits; NULL: none. */
int place_resolve(Model *m, const char *type, uint32_t count, const PlaceHints *hints, const char *chosen,
                  Gpu **ret_gpu, const VgpuType **ret_type, VgpudError *reterr);
