/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A fake model: the functions of daemon/ that dbus/ calls. Each one follows the orders of the test and
 * stores the request. The test adds objects and ends jobs. */

#include "daemon/converge/missing.h"
#include "daemon/definitions/define.h"
#include "daemon/model/defined.h"
#include "daemon/model/gpu.h"
#include "daemon/model/instance.h"
#include "daemon/work/job.h"
#include "daemon/model/model.h"
#include "daemon/model/rules.h"
#include "daemon/model/want.h"
#include "daemon/requests/create.h"
#include "daemon/requests/destroy.h"
#include "daemon/requests/find.h"
#include "daemon/requests/gpu.h"
#include "daemon/store/definitions.h"
#include "daemon/store/settings.h"
#include "daemon/work/finished.h"
#include "daemon/work/queue.h"

typedef struct FakeModel {
        Model model; /* must be the first member */

        /* orders of the test */
        const char *any_gpu;      /* the GPU that a call without a GPU gets */
        bool chosen_is_full;      /* the GPU that was chosen earlier has no room any more */
        VgpudErrorCode fail_next; /* error of the next request, with fail_message */
        const char *fail_message;

        /* requests */
        unsigned creates, destroys, rescans, cancels, vf_changes, configures, places;
        char *gpu, *type, *uuid, *name, *parent, *attributes; /* set by the last create */
        uint32_t count;                                       /* set by the last create or set_vfs */
        char *mode, *value;                                   /* set by the last configure */
        bool kept_setting;                                    /* set by the last set_vfs or configure */
        const char *wrong; /* error of the checks before the question to polkit; NULL: none */
        char *hints;       /* set by the last placement */
        uid_t requester;
        bool foreign, defined;
        bool kept, kept_gpu, kept_autostart; /* set by the last create */
        char *kept_pool;                     /* set by the last create; NULL: none */

        GpuSettings *settings; /* of all GPUs; NULL: none */
        unsigned forgets;

        /* definitions */
        unsigned defines, undefines, wants_removed;
        bool differs;             /* each definition differs from its instance */
        DefinitionState starting; /* state of the definitions without instance */
        GPtrArray *missing;       /* owned: char *; for missing_list() */
        Want want;                /* of the definitions in state DEFINITION_WAITING */
} FakeModel;

static inline FakeModel *fake_model(Model *m)
{
        return (FakeModel *)m;
}

/* Kinds of jobs with the names and details of the real ones. */
extern const JobKindInfo fake_kind_create, fake_kind_destroy, fake_kind_set_vfs, fake_kind_configure,
                fake_kind_rescan;

typedef struct FakeJob {
        Job job; /* must be the first member */
        char *type_id, *mode, *value;
        uint32_t vfs;
        bool foreign;
} FakeJob;

extern const VgpuDriver fake_driver;

Model *fake_model_new(void);
Model *fake_model_free(Model *m);

/* Functions that send no events. The GPU has the type "mdpy-xga" with every number set, and "bare" with
 * none. */
Gpu *fake_model_add_gpu(Model *m, const char *name);
Instance *fake_model_add_instance(Gpu *gpu, const char *uuid, InstanceOrigin origin, uid_t owner,
                                  const char *name);
/* A definition of "mdpy-xga" on "mdpy". */
const Definition *fake_model_add_definition(Model *m, const char *uuid, uid_t owner, const char *name);
void fake_model_add_store_error(Model *m, const char *text);
Job *fake_model_add_job(Gpu *gpu, const JobKindInfo *kind, uid_t requester);

/* Functions that send events. */
void fake_model_set_readiness(Model *m, Readiness readiness);
void fake_model_remove_instance(Instance *instance);
void fake_model_remove_gpu(Gpu *gpu);
void fake_model_start_job(Job *job);
/* Add a failure for one of several instances of the job. Call this before fake_model_end_job(). */
void fake_model_add_failure(Job *job, const char *uuid, VgpudErrorCode code, const char *message);
/* End a job: tell the waiting caller, then remove the job. */
void fake_model_end_job(Job *job, JobState state, VgpudErrorCode code, const char *message);
