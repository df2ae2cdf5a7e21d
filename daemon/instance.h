/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* An instance of a vGPU: what the kernel shows (desc) and what only we know (origin, owner, name). */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "drivers-glue/driver.h"
#include "daemon/job.h"

typedef enum InstanceOrigin {
        INSTANCE_ORIGIN_VGPUD,
        INSTANCE_ORIGIN_FOREIGN, /* somebody else made it: shown in full, never changed unless told to */
        _INSTANCE_ORIGIN_MAX,
        _INSTANCE_ORIGIN_INVALID = -EINVAL,
} InstanceOrigin;

typedef enum InstanceState {
        INSTANCE_ACTIVE,     /* the kernel has it */
        INSTANCE_INCOMPLETE, /* making or removing it was not brought to an end: of no use; see
                                instance_is_incomplete() */
        INSTANCE_STUCK,      /* its removal has not come back from the kernel */
        _INSTANCE_STATE_MAX,
        _INSTANCE_STATE_INVALID = -EINVAL,
} InstanceState;

struct Instance {
        Gpu *gpu;           /* borrowed */
        InstanceDesc *desc; /* owned copy of what the last snapshot says */
        InstanceOrigin origin;
        InstanceState state;
        char *name;            /* NULL: none */
        uid_t owner;           /* who had it made; UID_INVALID for foreign ones */
        uint64_t created_usec; /* CLOCK_REALTIME; 0: unknown */
        bool leaving;          /* we have removed it: its end is no news */
        bool undo;             /* a daemon was killed over it: it is to be removed */
        uint64_t undo_usec;    /* CLOCK_MONOTONIC of when that was tried last; 0: not yet */
        Job *job; /* borrowed; the job that works on it, NULL: none. What it is and what is done to it are two
                     variables */
};

#define UID_INVALID ((uid_t)-1)

const char *instance_origin_to_string(InstanceOrigin origin); /* "vgpud", "foreign" */
const char *instance_state_to_string(InstanceState state);    /* "active", "incomplete", "stuck" */

static inline bool instance_is_incomplete(const Instance *instance)
{
        return instance->desc->half_made || instance->undo;
}

/* After desc, undo or the job has changed; true when the state is another one. */
bool instance_update_state(Instance *instance, bool is_stuck);

/* Lane. InstanceDesc.identity of those (InstanceDesc) that have a slot. */
void instances_identify(VgpuIo *io, const GPtrArray *descs);

/* A label: 1..64 characters of [A-Za-z0-9_.-], beginning with a letter, and not a possible beginning of a UUID.
 */
bool instance_name_is_valid(const char *name);
