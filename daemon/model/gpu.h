/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A GPU in the model. Each part has one writer: model/apply.c (snapshot, types, instances), work/queue.c
 * (current job, queue), work/scan.c (scans), discovery/arrivals.c (facts, back end, lane). Two flags are set in
 * one file and cleared in another: work/job-set-vfs.c sets probe_again, which gpu_new() sets too, and
 * work/scan.c clears it; discovery/arrivals.c sets facts_later, and work/job-set-vfs.c clears it. */

#include <stdbool.h>
#include <systemd/sd-event.h>

#include "base/error.h"
#include "daemon/forward.h"
#include "daemon/model/keep.h"
#include "drivers-glue/driver.h"

typedef enum GpuState {
        GPU_NEW, /* found, not scanned yet */
        GPU_READY,
        GPU_UNPREPARED,  /* scanned; the administrator must prepare the GPU; see reason */
        GPU_UNSUPPORTED, /* no back end; see reason */
        GPU_FAILED,      /* the last scan failed; see reason */
        GPU_STUCK,       /* an operation is blocked in the kernel; see reason */
        _GPU_STATE_MAX,
        _GPU_STATE_INVALID = -EINVAL,
} GpuState;

/* The time of a wanted scan. If several scans are wanted, the soonest time wins. */
typedef enum GpuScanWish {
        GPU_SCAN_NONE,
        GPU_SCAN_LATER, /* delay: 100 ms */
        GPU_SCAN_SOON,  /* after the debounce time */
        GPU_SCAN_NOW,
} GpuScanWish;

/* Signals carry reason and hint, so both are short. */
#define GPU_REASON_MAX 768U

struct Gpu {
        Model *model;             /* borrowed */
        GpuFacts *facts;          /* ref */
        LatestFacts *latest;      /* ref; shared with the lane */
        const VgpuDriver *driver; /* NULL: no back end */
        GpuState state;
        char *reason;          /* owned, one clause; NULL when the GPU is ready and was read completely */
        VgpudHint hint;        /* remedy for the reason */
        GpuSnapshot *snapshot; /* ref; of the last scan; NULL before the first */
        GHashTable *instances; /* owned: UUID (in desc) -> Instance */
        Lane *lane;            /* owned; NULL without a back end */
        VgpuSlots *slots;      /* ref; the slots handed out; shared with the lane */
        GHashTable *reserved;  /* ref; slot -> SlotReserved; used in the lane alone */
        Job *current;          /* borrowed; the running or stuck job */
        GQueue waiting;        /* borrowed: Job, in the order of the lane */
        bool probe_again;      /* restore sriov_drivers_autoprobe; see autoprobe.h */
        bool facts_blocked;    /* the GPU is stuck because a read of the discovery does not return */
        bool facts_later;      /* the facts changed during a job that changes VFs */
        unsigned gone_scans;   /* scans in a row that failed with GPU_GONE */

        GpuKept kept; /* kept settings; written by model/keep.c and converge/kept.c */

        GpuScanWish wanted_scan;  /* recorded by gpu_want_scan(), cleared by scan_start_wanted() */
        Scan *scan;               /* owned by the lane; waits or runs; NULL: none */
        bool scan_again;          /* another scan must follow `scan` */
        Debounce *debounce;       /* owned; NULL: no scan is delayed */
        Scan *quick_scan;         /* owned by the lane; waits or runs; NULL: none */
        GPtrArray *quick_parents; /* owned: char *; parents for the next quick scan; NULL: none */
        Debounce *quick_again;    /* owned; NULL: no quick scan is delayed */
        unsigned quick_retries;   /* quick scans in a row that found an instance in the making */
        unsigned untyped_retries; /* scans in a row that found an instance without its type */
};

/* "new", "ready", "unprepared", "unsupported", "failed", "stuck" */
const char *gpu_state_to_string(GpuState state);

static inline const char *gpu_name(const Gpu *gpu)
{
        return gpu->facts->name;
}

/* Create a GPU without a lane. Calls gpu_choose_driver(). */
Gpu *gpu_new(Model *m, const GpuFacts *facts);
/* The lane must have been released, and no job may wait. */
Gpu *gpu_free(Gpu *gpu);

/* Choose back end, state and reason from the facts. A GPU with unread files has no back end and is stuck. */
void gpu_choose_driver(Gpu *gpu);

/* Reason and hint are copied; NULL: none. */
void gpu_set_state(Gpu *gpu, GpuState state, const char *reason, const VgpudHint *hint);
/* Set GPU_STUCK and a hint. `holder`: the process that has the device open, which the reason names; the hint is
 * then GPU_STUCK_USER_HINT. NULL: not known; the hint is then to reset the GPU if the operation never returns.
 */
void gpu_set_stuck(Gpu *gpu, const char *reason, const char *holder);
#define GPU_STUCK_USER_HINT \
        "end the process, or detach the device from its VM; if the operation never returns after that, reset the GPU or the host"

/* End the state GPU_STUCK: the operation returned, without a result, so a scan must follow before the GPU is
 * ready. */
void gpu_set_answered(Gpu *gpu);

/* True if types and instances are older than a stuck operation or a failed scan. */
bool gpu_is_stale(const Gpu *gpu);

/* True if the GPU was read, scanned or changed after `usec` (CLOCK_MONOTONIC). */
bool gpu_has_answered_since(const Gpu *gpu, uint64_t usec);

/* True if the facts describe the device of this Gpu, and not another device that has replaced it under the same
 * name. */
bool gpu_is_device(const Gpu *gpu, const GpuFacts *facts);

/* True if a scan reads so many attributes that a caller should not wait for its end. */
bool gpu_is_slow_to_scan(const Gpu *gpu);

/* True if scans of this GPU are slow and the back end can predict the effect of a create or destroy on the last
 * snapshot. */
bool gpu_is_predictable(const Gpu *gpu);

/* Check that the GPU takes jobs: it has a back end, is not stuck and has been scanned. Errors: UNSUPPORTED,
 * GPU_STUCK, FAILED. */
int gpu_check_driven(const Gpu *gpu, VgpudError *reterr);
/* Check that the GPU also takes requests for instances. Further errors: UNSUPPORTED (unprepared). */
int gpu_check_ready(const Gpu *gpu, VgpudError *reterr);

/* Ask for a scan. */
void gpu_want_scan(Gpu *gpu, GpuScanWish when);
