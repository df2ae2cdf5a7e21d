/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A GPU in the model. gpu_apply_snapshot() is the only function that changes what is known about its types and
 * instances, and derives every announcement from the difference. */

#include <stdbool.h>

#include "drivers-glue/driver.h"
#include "daemon/instance.h"
#include "daemon/job.h"

typedef enum GpuState {
        GPU_NEW, /* found, not scanned yet */
        GPU_READY,
        GPU_UNPREPARED,  /* scanned, but it can make nothing before something is done to it; gpu->reason says
                            what */
        GPU_UNSUPPORTED, /* no back end; gpu->reason says why */
        GPU_FAILED,      /* the last scan failed; gpu->reason says why */
        GPU_STUCK,       /* something has not come back from the kernel; gpu->reason says what */
        _GPU_STATE_MAX,
        _GPU_STATE_INVALID = -EINVAL,
} GpuState;

struct Gpu {
        Manager *manager;         /* borrowed */
        GpuFacts *facts;          /* ref */
        LatestFacts *latest;      /* ref; the same for the lane, which may know of newer ones */
        const VgpuDriver *driver; /* NULL: no back end */
        GpuState state;
        char *reason;          /* owned; why it is not ready; NULL when it is */
        GpuSnapshot *snapshot; /* ref; the last scan; NULL before the first */
        GHashTable *instances; /* owned: UUID (in desc) -> Instance */
        Lane *lane;            /* owned; NULL without a back end */
        GHashTable *claimed;   /* ref; slot -> SlotClaimed, of what ran in the lane, where alone it is used */
        Job *current;          /* borrowed; what runs now (also when stuck) */
        GQueue waiting;        /* borrowed: Job, in the order of the lane */
        bool probe_again;      /* see autoprobe.h */
        bool facts_later;      /* they changed while a job was changing them */
        /* scans that events ask for; private to gpu.c */
        struct Scan *scan;        /* the one that waits or runs; NULL: none */
        bool scan_again;          /* asked for once more while one was running */
        sd_event_source *settle;  /* coalesces events */
        unsigned untyped_retries; /* how often it was looked at again because an instance had no type yet */
        unsigned gone_looks;      /* scans in a row that found it gone, though a discovery did not */
};

const char *gpu_state_to_string(
                GpuState state); /* "new", "ready", "unprepared", "unsupported", "failed", "stuck" */

static inline const char *gpu_name(const Gpu *gpu)
{
        return gpu->facts->name;
}

/* True when types and instances are those of a time before something got stuck or failed. */
bool gpu_is_stale(const Gpu *gpu);

/* It was read or looked at, with success, or something was made on it, after that moment (CLOCK_MONOTONIC):
 * what was seen before is old. */
bool gpu_has_answered_since(const Gpu *gpu, uint64_t usec);

/* It was stuck, and has come back, but what it said is no use. */
void gpu_has_answered(Gpu *gpu);

/* Look at it again soon (events are coalesced) or now. */
void gpu_request_scan(Gpu *gpu, bool now);
