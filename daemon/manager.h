/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The root of the model: owns GPUs, instances, jobs. Main thread only. Knows nothing of D-Bus: it tells what
 * changed through ManagerEvents, which main.c fills in with functions of dbus/ (and tests with a recorder). */

#include <systemd/sd-event.h>

#include "daemon/config.h"
#include "daemon/gpu.h"
#include "daemon/instance.h"
#include "daemon/job.h"
#include "policy/placement.h"

/* What changed, as bits. */
typedef enum GpuChange {
        GPU_CHANGED_FACTS = 1 << 0, /* driver, names, VF counts, links, group, NUMA node */
        GPU_CHANGED_STATE = 1 << 1, /* state, reason, stale */
        GPU_CHANGED_TYPES = 1 << 2,
        GPU_CHANGED_JOB = 1 << 3, /* current job, length of the queue */
        GPU_CHANGED_BACK_END = 1 << 4,
        GPU_CHANGED_SCANNED = 1 << 5, /* the time of the last scan only */
        GPU_CHANGED_MODES = 1 << 6,
        GPU_CHANGED_VFS = 1 << 7, /* who has them */
} GpuChange;

typedef enum InstanceChange {
        INSTANCE_CHANGED_DESC = 1 << 0,   /* what the kernel shows, the hand-over, the name of the type */
        INSTANCE_CHANGED_ORIGIN = 1 << 1, /* origin, owner, name, creation time */
        INSTANCE_CHANGED_STATE = 1 << 2,
        INSTANCE_CHANGED_JOB = 1 << 3,
} InstanceChange;

/* Added: the object can be found already. Removed: it can still be found. Any slot may be NULL. */
typedef struct ManagerEvents {
        void (*gpu_added)(Gpu *gpu, void *userdata);
        void (*gpu_changed)(Gpu *gpu, unsigned changes, void *userdata);
        void (*gpu_removed)(Gpu *gpu, void *userdata);
        void (*instance_added)(Instance *instance, void *userdata);
        void (*instance_changed)(Instance *instance, unsigned changes, void *userdata);
        void (*instance_removed)(Instance *instance, void *userdata);
        void (*job_added)(Job *job, void *userdata);
        void (*job_changed)(Job *job, void *userdata); /* state, start */
        void (*job_removed)(Job *job,
                            void *userdata); /* it has ended: state, error and uuids hold the result */
} ManagerEvents;

/* What somebody wants of the GPU that is chosen. */
typedef struct PlaceHints {
        const char *strategy;        /* see placement_strategy_from_string(); NULL: the configured one */
        const char *near;            /* a PCI device, or a GPU: one as near to it as can be had; NULL: none */
        const char *pool;            /* NULL: the default pool */
        int32_t numa_node;           /* it must be of this node; -1: any */
        int32_t preferred_numa_node; /* -1: none */
} PlaceHints;
#define PLACE_HINTS_NONE ((PlaceHints){ .numa_node = -1, .preferred_numa_node = -1 })

typedef struct CreateRequest {
        const char *gpu;             /* sysfs name; NULL or "": any that offers the type */
        const char *type;            /* id or alias */
        const char *uuid;            /* any case; NULL: made up. Not with count > 1 */
        const char *name;            /* NULL: none. Not with count > 1 */
        const char *parent;          /* sysfs name of the parent to use; NULL: any of the GPU */
        const GPtrArray *attributes; /* VgpuAttribute; NULL: none */
        uint32_t count;              /* 1..1024, all or nothing */
        const PlaceHints *hints;     /* NULL: none. Only without gpu */
        const char *chosen; /* sysfs name of the GPU that was chosen for this request before: taken again as
                             * long as it fits. NULL: none. Only without gpu */
        uid_t requester;
        uint64_t timeout_usec; /* 0: the configured one */
} CreateRequest;

/* `factory` makes the VgpuIo of each lane (daemon/lane.h). */
Manager *manager_new(sd_event *event, const Config *config, LaneIoFactory factory, void *factory_userdata);
/* Drops everything; lanes must have been stopped. Announces nothing. */
Manager *manager_free(Manager *m);
void manager_set_events(Manager *m, const ManagerEvents *events, void *userdata);

/* Open the runtime directory, read the records, start looking for GPUs. ready() is called once, when all GPUs
 * that were found first have been scanned, or after the configured time. */
int manager_start(Manager *m, void (*ready)(Manager *m, void *userdata), void *userdata);

/* Refuse new jobs, cancel the waiting ones, wait at most timeout_usec for the running ones. */
void manager_stop(Manager *m, uint64_t timeout_usec);

sd_event *manager_event(Manager *m);
const Config *manager_config(Manager *m);

/* Lookups; the hash tables are for reading only. */
GHashTable *manager_gpus(Manager *m);      /* sysfs name -> Gpu */
GHashTable *manager_jobs(Manager *m);      /* GUINT_TO_POINTER(id) -> Job */
GHashTable *manager_instances(Manager *m); /* UUID -> Instance, of all GPUs */
Gpu *manager_get_gpu(Manager *m, const char *name);
Instance *manager_get_instance(Manager *m, const char *uuid);
Job *manager_get_job(Manager *m, uint32_t id);

/* What a person typed: a GPU by its name, or a unique beginning or end of it ("08:00.0"); an instance by name,
 * UUID (any case), or a unique beginning of a UUID. Errors: NO_SUCH_GPU, NO_SUCH_INSTANCE, AMBIGUOUS, INVALID;
 * of an instance that there is only a record of: GPU_STUCK, UNSUPPORTED, GPU_GONE. */
int manager_find_gpu(Manager *m, const char *what, Gpu **ret, VgpudError *reterr);
int manager_find_instance(Manager *m, const char *what, Instance **ret, VgpudError *reterr);

/* The GPU and the type id that a request would use now. For whoever has to ask for permission first.
 * Errors: INVALID, NO_SUCH_GPU, NO_SUCH_TYPE, AMBIGUOUS, UNSUPPORTED, EXISTS. */
int manager_resolve_create(Manager *m, const CreateRequest *request, Gpu **ret_gpu, const VgpuType **ret_type,
                           VgpudError *reterr);

/* Which GPU a request without one would get now, and why no other does; see policy/placement.h. Valid until
 * control goes back to the event loop. */
typedef struct Place {
        Placement *placement; /* owned */
        PlacementStrategy strategy;
        /* for place.c */
        PlacementCandidate *candidates; /* owned */
        const VgpuType **types;         /* owned; of each candidate, NULL where it is not known to offer it */
        VgpudErrorCode *refusals;       /* owned; of each candidate, what its refusal is */
        GPtrArray *texts;               /* owned: lists of strings that candidates borrow */
        VgpudError error;               /* why the first that may offer the type cannot be asked */
        bool more_errors;               /* there are others */
} Place;
/* Errors: INVALID, NO_SUCH_TYPE, AMBIGUOUS. That nothing is chosen is none. */
int manager_place(Manager *m, const char *type, uint32_t count, const PlaceHints *hints, Place **ret,
                  VgpudError *reterr);
/* With what a request would be answered that came to this one; NONE: it fits. When none fits, that of the first
 * is the answer to a request that names no GPU, unless that is tried all the same (placement_find_hope()). */
VgpudErrorCode place_error_code(const Place *place, const PlacementRank *rank);
Place *place_free(Place *place);
static inline void place_freep(Place **place)
{
        *place = place_free(*place);
}
#define _cleanup_place_ _cleanup_(place_freep)

/* Queue a job. On success *ret is valid until control goes back to the event loop (or as long as the job
 * lives). Errors besides those above: GPU_STUCK, TOO_MANY_JOBS, CANCELED (stopping), FOREIGN, IN_USE (another
 * job works on the instance). */
int manager_create(Manager *m, const CreateRequest *request, Job **ret, VgpudError *reterr);
int manager_destroy(Manager *m, Instance *instance, bool foreign, uid_t requester, uint64_t timeout_usec,
                    Job **ret, VgpudError *reterr);
/* So many virtual functions (0: none). Errors besides: UNSUPPORTED, INVALID (more than it can have), IN_USE. */
int manager_set_vfs(Manager *m, Gpu *gpu, uint32_t count, uid_t requester, uint64_t timeout_usec, Job **ret,
                    VgpudError *reterr);
/* Set a mode of the GPU (GpuSnapshot.modes). Errors besides: UNSUPPORTED, INVALID (no such mode or value). */
int manager_configure(Manager *m, Gpu *gpu, const char *mode, const char *value, uid_t requester,
                      uint64_t timeout_usec, Job **ret, VgpudError *reterr);
/* What is wrong with such a request, apart from queues. For whoever has to ask for permission first. */
int manager_check_set_vfs(const Gpu *gpu, uint32_t count, VgpudError *reterr);
int manager_check_configure(const Gpu *gpu, const char *mode, const char *value, VgpudError *reterr);
int manager_rescan(Manager *m, Gpu *gpu, uid_t requester, Job **ret, VgpudError *reterr);
