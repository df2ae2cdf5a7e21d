/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The announcements of the model. dbus/ and converge/ provide callbacks; in tests of the model, a recorder
 * takes the place of dbus/. */

#include "daemon/forward.h"

typedef enum GpuChange {
        GPU_CHANGED_FACTS = 1 << 0, /* driver, names, VF counts, links, group, NUMA node */
        GPU_CHANGED_STATE = 1 << 1, /* state, reason, hint, stale */
        GPU_CHANGED_TYPES = 1 << 2,
        GPU_CHANGED_JOB = 1 << 3, /* current job, length of the queue */
        GPU_CHANGED_BACK_END = 1 << 4,
        GPU_CHANGED_SCANNED = 1 << 5, /* the time of the last scan only */
        GPU_CHANGED_MODES = 1 << 6,
        GPU_CHANGED_VFS = 1 << 7,  /* driver or driver_override of a VF, or whether it is bound and free */
        GPU_CHANGED_KEPT = 1 << 8, /* the kept settings, or why they are not applied */
} GpuChange;

typedef enum InstanceChange {
        INSTANCE_CHANGED_DESC = 1 << 0,   /* the kernel's view, the hand-over, the name of the type */
        INSTANCE_CHANGED_ORIGIN = 1 << 1, /* origin, owner, name, creation time */
        INSTANCE_CHANGED_STATE = 1 << 2,
        INSTANCE_CHANGED_JOB = 1 << 3,
        INSTANCE_CHANGED_DEFINITION = 1 << 4, /* instance_get_definition() */
} InstanceChange;

/* During a callback, lookups already find an added object, and still find a removed GPU, instance or job. A
 * removed definition is no longer found: the callback gets a copy. Any callback may be NULL. */
typedef struct ModelEvents {
        void (*gpu_added)(Gpu *gpu, void *userdata);
        void (*gpu_changed)(Gpu *gpu, unsigned changes, void *userdata); /* bits of GpuChange */
        void (*gpu_removed)(Gpu *gpu, void *userdata);
        void (*instance_added)(Instance *instance, void *userdata);
        void (*instance_changed)(Instance *instance, unsigned changes, void *userdata); /* InstanceChange */
        void (*instance_removed)(Instance *instance, void *userdata);
        void (*definition_added)(const Definition *definition, void *userdata);
        void (*definition_changed)(const Definition *definition, void *userdata);
        void (*definition_removed)(const Definition *definition, void *userdata); /* a copy */
        void (*readiness_changed)(Model *m, void *userdata);
        /* The kernel added or removed a device, bound or unbound its driver, or registered or unregistered it
         * as parent of mediated devices. `path`: below /sys; NULL: the kernel dropped events, so any device may
         * have changed. */
        void (*device_moved)(const char *path, void *userdata);
        void (*job_added)(Job *job, void *userdata);
        void (*job_changed)(Job *job, void *userdata); /* state, start */
        void (*job_removed)(Job *job, void *userdata); /* state, error and uuids hold the result */
} ModelEvents;
