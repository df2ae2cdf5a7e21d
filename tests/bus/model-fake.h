/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A model for the tests of dbus/: the functions of daemon/manager.h, job.h and gpu.h that dbus/ calls, doing
 * what a test says and keeping what they were asked. Nothing happens in it by itself: a test adds objects and
 * ends jobs. */

#include "daemon/manager.h"

struct Manager {
        GHashTable *gpus, *instances, *jobs;
        const ManagerEvents *events;
        void *events_userdata;
        uint32_t last_job;

        /* what to do */
        const char *any_gpu;      /* the GPU that is meant by "" */
        bool chosen_is_full;      /* the one that was chosen before cannot be taken any more */
        VgpudErrorCode fail_next; /* the next request fails so, with the message below */
        const char *fail_message;

        /* what was asked */
        unsigned creates, destroys, rescans, cancels, vf_changes, configures, places;
        char *gpu, *type, *uuid, *name, *parent, *attributes; /* of the last create */
        uint32_t count;                                       /* also of set_vfs */
        char *mode, *value;                                   /* of configure */
        const char *wrong; /* what the checks before permission say; NULL: nothing */
        char *hints;       /* the last that were given */
        uint64_t timeout_usec;
        uid_t requester;
        bool foreign;
};

extern const VgpuDriver fake_driver;

Manager *model_new(void);
Manager *model_free(Manager *m);

/* No events: the objects were there before. The GPU has the type "mdpy-xga" with every number set, and "bare"
 * with none. */
Gpu *model_add_gpu(Manager *m, const char *name);
Instance *model_add_instance(Gpu *gpu, const char *uuid, InstanceOrigin origin, uid_t owner, const char *name);
Job *model_add_job(Gpu *gpu, JobKind kind, uid_t requester);

/* With events. */
void model_remove_instance(Instance *instance);
void model_remove_gpu(Gpu *gpu);
/* The end of a job: whoever waits is told, then it is removed. */
void model_end_job(Job *job, JobState state, VgpudErrorCode code, const char *message);
