/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The choice of a GPU for a request that names none. A pure function: no I/O, no clock, no order of hash
 * tables. The result tells the reason for each GPU that does not fit.
 *
 * A GPU does not fit because of its state (stuck, does not offer the type), a rule of the administrator (types,
 * pool), the request (NUMA node), or lack of room: ROOM = available (can be created now) - promised
 * (reserved by running and queued jobs) - spare (held back by `spare=`). A GPU is chosen only if its room is
 * large enough for the request; see also placement_find_hope().
 *
 * GPUs with room are ordered. Each criterion decides between GPUs that are equal by the previous ones:
 *  1. the preferred NUMA node
 *  2. the distance to the device that the request names; without a common host bridge, the same NUMA node
 *  3. the priority in vgpud.conf, higher first
 *  4. GPUs without running or queued jobs for another type, because the room that these jobs leave is a guess
 *  5. breadth: most room first, then fewest instances
 *     depth: GPUs with instances first (so that empty GPUs stay free for instances of another size), then least
 *     room, then most instances
 *  6. the name, in natural order */

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum PlacementStrategy {
        PLACEMENT_BREADTH, /* spread: each instance gets as much of a GPU as possible */
        PLACEMENT_DEPTH,   /* fill: other GPUs stay empty, for an instance of another size or of a whole GPU */
        _PLACEMENT_STRATEGY_MAX,
        _PLACEMENT_STRATEGY_INVALID = -EINVAL,
} PlacementStrategy;

const char *placement_strategy_to_string(PlacementStrategy strategy); /* "breadth", "depth" */
/* Accepts names of other programs too: performance and separated for breadth, consolidation and consolidated
 * for depth; "breadth-first", "breadth_first" and so on. */
PlacementStrategy placement_strategy_from_string(const char *text);

/* The pool of GPUs and requests for which no pool is named. */
#define PLACEMENT_DEFAULT_POOL "default"

/* Special distances. */
#define PLACEMENT_SAME_NODE (UINT32_MAX - 1) /* another host bridge of the same NUMA node */
#define PLACEMENT_FAR       UINT32_MAX /* neither the host bridge nor the NUMA node in common, or unknown */

/* The reason why a GPU does not fit, for programs. The strings are part of the D-Bus API: never change one. */
typedef enum PlacementReason {
        PLACEMENT_REASON_NONE, /* the GPU fits */
        PLACEMENT_NO_SUCH_TYPE,
        PLACEMENT_NOT_READY,  /* the GPU takes no requests in its present state */
        PLACEMENT_QUEUE_FULL, /* too many jobs wait for the GPU */
        PLACEMENT_TYPE_FORBIDDEN,
        PLACEMENT_TYPE_NOT_ALLOWED,
        PLACEMENT_OTHER_POOL,
        PLACEMENT_OTHER_NODE, /* another NUMA node, or an unknown one */
        PLACEMENT_NO_ROOM,
        _PLACEMENT_REASON_MAX,
} PlacementReason;

/* "no-such-type"; "" for PLACEMENT_REASON_NONE. */
const char *placement_reason_to_string(PlacementReason reason);

/* A GPU. All pointers are borrowed. */
typedef struct PlacementCandidate {
        const char *gpu;     /* sysfs name; unique */
        const char *refusal; /* why the GPU cannot create the type in its present state; NULL: no reason */
        PlacementReason refusal_id; /* the kind of refusal; PLACEMENT_REASON_NONE: no refusal */
        bool offers;                /* the GPU offers the type, or may offer it */

        uint32_t available;   /* instances of the type that can be created now */
        uint32_t promised;    /* reserved by running and queued jobs */
        uint32_t instances;   /* existing and promised instances of any type */
        const char *why_full; /* reason why no more can be created; may be NULL */
        bool crowded;         /* a running or queued job creates another type on the GPU */
        bool unsettled;       /* a job or scan in progress may free more room */
        bool job_ahead;       /* a job in progress may free more room; `unsettled` is set too */

        int numa_node;    /* -1: unknown */
        const char *path; /* below /sys, no links in it: "devices/pci0000:00/0000:00:02.0" */

        /* rules of the administrator */
        const char *const *pools;  /* NULL or empty: the default pool */
        const char *const *allow;  /* patterns of types; NULL or empty: all */
        const char *const *forbid; /* patterns of types; stronger than `allow` */
        uint32_t spare;            /* instances of the type to hold back */
        int32_t priority;

        const char *const *type_names; /* id, aliases and key of the type; patterns may match any */
} PlacementCandidate;

/* The request. All pointers are borrowed. */
typedef struct PlacementRequest {
        uint32_t count; /* 1 or more, all on one GPU */
        PlacementStrategy strategy;
        int numa_node;           /* required node; -1: any */
        int preferred_numa_node; /* preferred node; -1: none */
        const char *near_path;   /* path below /sys of the device to be near to; NULL: none */
        int near_numa_node;      /* NUMA node of that device; -1: unknown */
        const char *pool;        /* NULL: the default pool */
} PlacementRequest;

typedef enum PlacementVerdict {
        PLACEMENT_FITS,
        PLACEMENT_FULL,     /* no room now */
        PLACEMENT_EXCLUDED, /* a rule or the request excludes the GPU */
        PLACEMENT_REFUSED,  /* the state of the GPU does not allow the request: candidate->refusal */
} PlacementVerdict;

typedef struct PlacementRank {
        size_t index; /* position in the array of candidates */
        const PlacementCandidate *candidate;
        PlacementVerdict verdict;
        uint32_t room;             /* see above; 0 if excluded or refused */
        uint32_t distance;         /* steps in the PCI tree to near_path; PLACEMENT_FAR without near_path */
        uint64_t address;          /* private to placement.c */
        PlacementReason reason_id; /* why the GPU does not fit; see placement_reason_of() */
        char *reason;              /* owned, private to placement.c */
} PlacementRank;

typedef struct Placement {
        PlacementRank *ranks; /* owned; one for each candidate: best first, then those that do not fit */
        size_t n;
        const PlacementRank *chosen; /* the first rank; NULL: none fits */

        /* Private to placement.c: the request, for placement_reason_of(). */
        uint32_t count;
        int numa_node;
        char *pool; /* owned */
} Placement;

Placement *placement_choose(const PlacementCandidate *candidates, size_t n, const PlacementRequest *request);
Placement *placement_free(Placement *p);
static inline void placement_freep(Placement **p)
{
        *p = placement_free(*p);
}

/* Why the GPU of the rank does not fit, in words; NULL: it fits. The first call makes the text, because
 * placement_choose() needs none. The candidates must still exist. */
const char *placement_reason_of(const Placement *p, const PlacementRank *rank);

/* The hope, if no GPU fits: the candidate to try anyway, a GPU that lacks only room. Either a job or scan in
 * progress may free room before the new job runs, or all other GPUs are refused and the driver of this GPU
 * explains the lack of room best. NULL: none. */
const PlacementRank *placement_find_hope(const Placement *p);

/* True if no GPU fits and the request would wait for a job in progress on this GPU, which may free room. */
bool placement_would_wait(const Placement *p, const PlacementRank *rank);

/* The reasons why no GPU fits: "GPU 0000:08:00.0: reason; GPU …", for the first GPUs that offer the type. */
char *placement_explain(const Placement *p);

/* The reason why the rules of the GPU exclude the type, and in *ret_reason the same in words. If the rules
 * allow the type: PLACEMENT_REASON_NONE and NULL. Ignores pool and spare, which matter only for the choice of a
 * GPU. */
PlacementReason placement_check_type(const PlacementCandidate *candidate, char **ret_reason);

/* Order of names: PCI addresses by their numbers, then other names in natural order. */
int placement_compare_names(const char *a, const char *b);

/* Steps between two devices in the device tree; PLACEMENT_FAR without a common host bridge. */
uint32_t placement_distance(const char *path_a, const char *path_b);
