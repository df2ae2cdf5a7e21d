/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* An instance: the kernel's view (desc), and origin, owner and name, which only vgpud knows. model/apply.c
 * writes the instance, except `job` (work/queue.c), `leaving` (work/job-destroy.c), and the fields that the
 * functions below set. job-destroy.c also writes undo_usec, and requests/destroy.c clears wants_undo. */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "daemon/forward.h"
#include "drivers-glue/driver.h"

typedef enum InstanceOrigin {
        INSTANCE_ORIGIN_VGPUD,
        INSTANCE_ORIGIN_FOREIGN, /* created by another program; changed only on explicit request */
        _INSTANCE_ORIGIN_MAX,
        _INSTANCE_ORIGIN_INVALID = -EINVAL,
} InstanceOrigin;

typedef enum InstanceState {
        INSTANCE_ACTIVE,     /* exists and is complete */
        INSTANCE_INCOMPLETE, /* an interrupted create or destroy; see instance_is_incomplete() */
        INSTANCE_STUCK,      /* removal is blocked in the kernel */
        _INSTANCE_STATE_MAX,
        _INSTANCE_STATE_INVALID = -EINVAL,
} InstanceState;

/* How an instance relates to the definition of its UUID. */
typedef enum InstanceDefinition {
        INSTANCE_DEFINITION_NONE,    /* there is no definition, or another program created the instance */
        INSTANCE_DEFINITION_CURRENT, /* the instance was started from the definition as it is now */
        INSTANCE_DEFINITION_DIFFERS, /* the definition was edited after the start */
        _INSTANCE_DEFINITION_MAX,
        _INSTANCE_DEFINITION_INVALID = -EINVAL,
} InstanceDefinition;

struct Instance {
        Gpu *gpu;           /* borrowed */
        InstanceDesc *desc; /* owned copy of the desc in the last snapshot */
        InstanceOrigin origin;
        InstanceState state;
        char *name;            /* NULL: none */
        uid_t owner;           /* the requester of the create; UID_INVALID: foreign */
        uint64_t created_usec; /* CLOCK_REALTIME; 0: unknown */
        bool leaving;          /* vgpud removed the instance: no log line when it disappears */
        bool undo;             /* left by an interrupted job: vgpud removes the instance */
        bool wants_undo;       /* the manager must submit the removal */
        uint64_t undo_usec;    /* CLOCK_MONOTONIC of the last attempt; 0: none yet */
        Job *job;              /* borrowed; the job in progress, NULL: none */
};

#define UID_INVALID ((uid_t)-1)

const char *instance_origin_to_string(InstanceOrigin origin); /* "vgpud", "foreign" */
const char *instance_state_to_string(InstanceState state);    /* "active", "incomplete", "stuck" */

/* "", "current", "differs" */
const char *instance_definition_to_string(InstanceDefinition definition);
InstanceDefinition instance_get_definition(const Instance *instance);

/* Copies the desc. The new instance is foreign until instance_update_origin() finds its record. */
Instance *instance_new(Gpu *gpu, const InstanceDesc *desc);
void instance_free(void *instance);

static inline bool instance_is_incomplete(const Instance *instance)
{
        return instance->desc->half_made || instance->undo;
}

/* Set origin, name, owner and creation time from the record. True if one of them changed. */
bool instance_update_origin(Instance *instance);
/* Set `undo` from the record. True if `undo` changed. */
bool instance_update_undo(Instance *instance);
/* Set the state from desc, undo and `is_stuck`. True if the state changed. */
bool instance_update_state(Instance *instance, bool is_stuck);

/* Mark the instance as stuck, because its removal is blocked in the kernel, and announce the state. */
void instance_set_stuck(Instance *instance);

/* In the lane: read the identity of each description (InstanceDesc) that has a slot. */
void instances_identify(VgpuIo *io, const GPtrArray *descs);
