/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Requests about definitions. A define_prepare function makes all checks and returns the definition that
 * define_commit() would write. The caller asks polkit about this definition. After the answer of polkit, the
 * caller prepares again, and commits before control returns to the event loop. */

#include "base/error.h"
#include "daemon/forward.h"
#include "daemon/store/definitions.h"

typedef enum DefinitionState {
        DEFINITION_STOPPED,  /* no device has the UUID */
        DEFINITION_STARTING, /* a job creates the instance */
        DEFINITION_WAITING,  /* vgpud creates the instance as soon as this is possible; see model/want.h */
        DEFINITION_ACTIVE,
        DEFINITION_FOREIGN, /* another program created a device of this UUID */
        DEFINITION_UNKNOWN, /* the GPU of the instance does not answer, so the device may exist */
        _DEFINITION_STATE_MAX,
        _DEFINITION_STATE_INVALID = -EINVAL,
} DefinitionState;

/* "stopped", "starting", "waiting", "active", "foreign", "unknown" */
const char *definition_state_to_string(DefinitionState state);
DefinitionState definition_state_from_string(const char *text);

DefinitionState define_get_state(Model *m, const Definition *definition);
/* Why the definition waits; NULL: it does not wait, or the reason is not known yet. */
const VgpudError *define_get_waiting(Model *m, const Definition *definition);
/* True if the instance runs and was started before the last change of the definition. */
bool define_differs(Model *m, const Definition *definition);

/* Find a definition by its UUID in upper or lower case, its whole name, or the whole name of its instance.
 * Errors: INVALID, NO_SUCH_DEFINITION. */
int define_find(Model *m, const char *word, const Definition **ret, VgpudError *reterr);

/* A member that is NULL means none for Define, and no change for Edit. For Edit, "" means none. */
typedef struct DefineRequest {
        const char *type; /* id, alias or key; required by Define */
        const char *gpu;  /* sysfs name or address */
        const char *parent;
        const char *pool;
        const char *name;
        const char *uuid;            /* Define only; NULL: generate one */
        const GPtrArray *attributes; /* VgpuAttribute */
        bool autostart;
        bool sets_autostart; /* Edit only: change autostart */
        uid_t requester;
} DefineRequest;

/* Errors: INVALID, NO_SUCH_GPU, NO_SUCH_TYPE, AMBIGUOUS, UNSUPPORTED (vgpud.conf excludes the type), EXISTS,
 * QUOTA, and those of gpu_check_driven() if the named GPU has not been scanned. */
int define_prepare(Model *m, const DefineRequest *request, Definition **ret, VgpudError *reterr);
/* Describe a running instance. Errors: FOREIGN, IN_USE (a job works on the instance), EXISTS (the instance has
 * a definition), UNSUPPORTED (the instance is incomplete, or its type is unknown), QUOTA. */
int define_prepare_from(Model *m, const Instance *instance, Definition **ret, VgpudError *reterr);
/* Errors: those of define_prepare(), except QUOTA. */
int define_prepare_edit(Model *m, const Definition *definition, const DefineRequest *changes, Definition **ret,
                        VgpudError *reterr);

/* Write a prepared definition. Errors: those of definitions_put(). */
int define_commit(Model *m, const Definition *definition, uid_t requester, VgpudError *reterr);
