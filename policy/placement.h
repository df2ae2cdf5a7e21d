/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Which GPU an instance goes to when nobody said. A pure decision: no I/O, no clock, no order of hash tables;
 * what is to be known of the GPUs comes in, and what is decided goes out with the reason of every refusal.
 *
 * A GPU is refused by what it is (stuck, does not offer the type), by a rule of the administrator (types,
 * pool), by the request (NUMA node), or because it has no room: `available` less what is promised to jobs that
 * have not run, less what is kept spare. No GPU is ever chosen beyond that room.
 *
 * Those that have room are ordered, each point deciding among equals of the one before:
 *  1. the NUMA node that is preferred
 *  2. the distance to the device it is to be near to; where they share no host bridge, whether they share the
 * NUMA node
 *  3. the priority that the administrator gave it, the higher the better
 *  4. GPUs on which nothing of another type waits to be made: what that will leave is a guess
 *  5. breadth: most room first, then fewest instances.
 *     depth: GPUs that have instances before empty ones (on a GPU whose instances must all have one size those
 * with room are committed to this size, and empty ones stay free for others), then least room, then most
 * instances
 *  6. the name, in natural order
 */

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum PlacementStrategy {
        PLACEMENT_BREADTH, /* spread: each instance gets as much of a GPU as there is */
        PLACEMENT_DEPTH,   /* fill up: GPUs stay empty for what needs a whole one, or another size */
        _PLACEMENT_STRATEGY_MAX,
        _PLACEMENT_STRATEGY_INVALID = -EINVAL,
} PlacementStrategy;

const char *placement_strategy_to_string(PlacementStrategy strategy); /* "breadth", "depth" */
/* Also by the names that others gave them: performance and separated are breadth, consolidation and
 * consolidated are depth; "breadth-first", "breadth_first" and so on. */
PlacementStrategy placement_strategy_from_string(const char *text);

/* The pool of GPUs that are put into none, and of requests that name none. */
#define PLACEMENT_DEFAULT_POOL "default"

/* Distances that are no number of steps. */
#define PLACEMENT_SAME_NODE (UINT32_MAX - 1) /* another host bridge of the same NUMA node */
#define PLACEMENT_FAR       UINT32_MAX       /* elsewhere, or not known */

/* A GPU. All is borrowed. */
typedef struct PlacementCandidate {
        const char *gpu;     /* sysfs name; no two have the same */
        const char *refusal; /* why it cannot be asked for the type at all, in words; NULL: it can */
        bool offers;         /* the type, as far as that is known */

        uint32_t available;   /* how many of the type can be made now */
        uint32_t promised;    /* how many of these jobs that have not run yet will take */
        uint32_t instances;   /* that it has, of any type, with those that are promised */
        const char *why_full; /* what stands in the way of more, in words; may be NULL */
        bool crowded;         /* something of another type waits to be made on it */
        bool unsettled;       /* something is under way that may leave more room than `available` says */
        bool job_ahead;       /* and that is a job, not only a look at it */

        int numa_node;    /* -1: not known */
        const char *path; /* below /sys, no links in it: "devices/pci0000:00/0000:00:02.0" */

        /* rules of the administrator */
        const char *const *pools;  /* NULL or empty: the default pool */
        const char *const *allow;  /* patterns of types; NULL or empty: all */
        const char *const *forbid; /* patterns of types; stronger than `allow` */
        uint32_t spare;            /* so many of the type are kept */
        int32_t priority;

        const char *const
                        *type_names; /* the type's id, then its other names, as patterns may have any of them */
} PlacementCandidate;

/* What is asked for. All is borrowed. */
typedef struct PlacementRequest {
        uint32_t count; /* at least 1, all on one GPU */
        PlacementStrategy strategy;
        int numa_node;           /* it must be this one; -1: any */
        int preferred_numa_node; /* better this one; -1: any */
        const char *near_path;   /* path below /sys of the device that it should be near to; NULL: none */
        int near_numa_node;      /* with near_path: of that device; -1: not known */
        const char *pool;        /* NULL: the default pool */
} PlacementRequest;

typedef enum PlacementVerdict {
        PLACEMENT_FITS,
        PLACEMENT_FULL,     /* no room; there may be some later */
        PLACEMENT_EXCLUDED, /* by a rule, or by what the request wants */
        PLACEMENT_REFUSED,  /* candidate->refusal */
} PlacementVerdict;

typedef struct PlacementRank {
        size_t index; /* in the array of candidates */
        const PlacementCandidate *candidate;
        PlacementVerdict verdict;
        uint32_t room;     /* how many it has room for; 0 when it is excluded or refused */
        uint32_t distance; /* steps along the tree of PCI to near_path; PLACEMENT_FAR when none was given */
        uint64_t address;  /* for placement.c */
        char *reason;      /* owned; why it is not taken, in words; NULL: it fits */
} PlacementRank;

typedef struct Placement {
        PlacementRank *ranks; /* owned; as many as there were candidates: best first, then those that do not fit
                               */
        size_t n;
        const PlacementRank *chosen; /* the first; NULL: none fits */
} Placement;

Placement *placement_choose(const PlacementCandidate *candidates, size_t n, const PlacementRequest *request);
Placement *placement_free(Placement *p);
static inline void placement_freep(Placement **p)
{
        *p = placement_free(*p);
}

/* When none fits: the candidate that is worth trying all the same, as only room is missing and that may change
 * before its turn comes, or, where it is the only one, because its kernel explains best what is missing. NULL:
 * none. */
const PlacementRank *placement_find_hope(const Placement *p);

/* None fits, and this one is tried as a job is under way on it that may leave more room: the request waits
 * for that. */
bool placement_would_wait(const Placement *p, const PlacementRank *rank);

/* Why none fits: "GPU 0000:08:00.0: reason; GPU …", of those that offer the type, the first of them. */
char *placement_explain(const Placement *p);

/* Why the rules do not let the type be made on it, in words; NULL: they do. Pool and spare are not looked at:
 * they are for choosing. */
char *placement_check_type(const PlacementCandidate *candidate);

/* PCI addresses in their order, then other names, with numbers in them by their value. */
int placement_compare_names(const char *a, const char *b);

/* Steps up and down the tree of devices from one to the other; PLACEMENT_FAR when they share no host bridge. */
uint32_t placement_distance(const char *path_a, const char *path_b);
