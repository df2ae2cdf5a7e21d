/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Collects the input of policy/placement.c from model and configuration, and turns its decision into the answer
 * to a request. This file itself makes no decision. */

#include <sys/types.h>

#include "base/error.h"
#include "daemon/forward.h"
#include "drivers-glue/snapshot.h"
#include "policy/placement.h"

/* Options of a caller for the choice of a GPU. */
typedef struct PlaceHints {
        const char *strategy; /* see placement_strategy_from_string(); NULL: the configured one */
        const char *near;     /* prefer GPUs close to this PCI device (an address in any form) or GPU; NULL:
                               * none */
        const char *pool;     /* NULL: the default pool */
        int32_t numa_node;    /* required node; -1: any */
        int32_t preferred_numa_node; /* preferred node; -1: none */
        const GPtrArray *avoided;    /* sysfs names of GPUs that the request does not get; NULL: none */
} PlaceHints;
#define PLACE_HINTS_NONE ((PlaceHints){ .numa_node = -1, .preferred_numa_node = -1 })

/* The choice for a request without a GPU; see policy/placement.h. Valid until control returns to the event
 * loop. */
typedef struct Place {
        Placement *placement; /* owned */
        PlacementStrategy strategy;
        uid_t requester; /* as given to place_new() */
        /* private to place.c */
        PlacementCandidate *candidates; /* owned; one for each GPU of the model */
        const VgpuType **types;         /* owned; per candidate; NULL: not known to offer the type */
        VgpudErrorCode *refusals;       /* owned; per candidate, the code of its refusal */
        VgpudHint *hints;               /* owned; per candidate, the hint of its refusal */
        size_t n_hints;
        GPtrArray *texts; /* owned: lists of strings that candidates borrow */
        VgpudError error; /* error of the first refused candidate that offers the type */
        bool more_errors; /* other candidates that offer the type are refused too */
} Place;

/* Rank the GPUs for a request. Errors: INVALID, NO_SUCH_TYPE, AMBIGUOUS. It is no error if no GPU fits. The
 * result depends on the requester only because each user has a share of the queue of a GPU. */
int place_new(Model *m, const char *type, uint32_t count, const PlaceHints *hints, uid_t requester, Place **ret,
              VgpudError *reterr);
Place *place_free(Place *place);
static inline void place_freep(Place **place)
{
        *place = place_free(*place);
}
#define _cleanup_place_ _cleanup_(place_freep)

/* Return the error code for the reason why the GPU of this rank does not fit; NONE: the GPU fits. If no GPU
 * fits and placement_find_hope() finds no GPU to try, the request fails with the code of the first rank. */
VgpudErrorCode place_error_code(const Place *place, const PlacementRank *rank);

/* The hint for a GPU that does not fit, borrowed; NULL: none. */
const VgpudHint *place_hint(const Place *place, const PlacementRank *rank);

/* Choose the GPU, and the type on it, for a create request that names no GPU. `chosen`: the earlier choice for
 * the same request (sysfs name), which is kept while the GPU fits; NULL: none. */
int place_resolve(Model *m, const char *type, uint32_t count, const PlaceHints *hints, uid_t requester,
                  const char *chosen, Gpu **ret_gpu, const VgpuType **ret_type, VgpudError *reterr);
