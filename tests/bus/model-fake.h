/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A model for the tests of dbus/: the functions of daemon/ that dbus/ calls, doing
 * what a test says and keeping what they were asked. Nothing happens in it by itself: a test adds objects and
 * ends jobs. */

#include "daemon/model/gpu.h"
#include "daemon/model/instance.h"
#include "daemon/work/job.h"
#include "daemon/model/model.h"
#include "daemon/requests/create.h"
#include "daemon/requests/destroy.h"
#include "daemon/requests/find.h"
#include "daemon/requests/gpu.h"
#include "daemon/work/queue.h"

typedef struct FakeModel {
        Model model; /* first */

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
} FakeModel;

static inline FakeModel *fake_model(Model *m)
{
        return (FakeModel *)m;
}

/* Kinds of jobs with the names and details of the real ones. */
extern const JobKindInfo fake_kind_create, fake_kind_destroy, fake_kind_set_vfs, fake_kind_configure,
                fake_kind_rescan;

typedef struct FakeJob {
        Job job; /* first */
        char *type_id, *mode, *value;
        uint32_t vfs;
} FakeJob;

extern const VgpuDriver fake_driver;

Model *fake_model_new(void);
Model *fake_model_free(Model *m);

/* No events: the objects were there before. The GPU has the type "mdpy-xga" with every number set, and "bare"
 * with none. */
Gpu *fake_model_add_gpu(Model *m, const char *name);
Instance *fake_model_add_instance(Gpu *gpu, const char *uuid, InstanceOrigin origin, uid_t owner,
                                  const char *name);
Job *fake_model_add_job(Gpu *gpu, const JobKindInfo *kind, uid_t requester);

/* With events. */
void fake_model_remove_instance(Instance *instance);
void fake_model_remove_gpu(Gpu *gpu);
/* The end of a job: whoever waits is told, then it is removed. */
void fake_model_end_job(Job *job, JobState state, VgpudErrorCode code, const char *message);
