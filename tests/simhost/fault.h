/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Faults that a test injects: an errno, a delay or a hang for an operation on an object. It owns the list of
 * faults and the requests that hang.
 *
 * A fault is OP:OBJECT:ACTION[:COUNT]. OP is one of the words below; OBJECT is "*", the name of a
 * device or of anything else on the path (a GPU stands for its virtual functions too), or NAME/ATTRIBUTE;
 * ACTION is errno=NAME, delay=MILLISECONDS or hang; COUNT says how often, without it always.
 */

#include <glib.h>

typedef enum FaultOp {
        FAULT_CREATE, /* in the vendor's part of a creation: after the "add" event, before "bind" */
        FAULT_REMOVE, /* after the "remove" file has gone, before anything else */
        FAULT_LINK,   /* after "bind", before the links mdev_type and devices/UUID are made */
        FAULT_READ,   /* before the attribute's content is made */
        FAULT_WRITE,  /* before the attribute sees the write */
        FAULT_OPEN,
        FAULT_PROBE,   /* in a PCI driver's probe: "bind", "drivers_probe", a new device */
        FAULT_ENABLE,  /* of each virtual function, after its "add" event; an errno takes back all of them */
        FAULT_DISABLE, /* of each virtual function, when its links have gone; cannot fail */
        _FAULT_OP_MAX,
        _FAULT_OP_INVALID = -22,
} FaultOp;

/* Another name that a path goes by, or NULL: the GPU of a virtual function. Asked only while there are faults.
 */
typedef const char *(*FaultAliasFunc)(const char *path);
void fault_set_alias(FaultAliasFunc alias);
/* Takes a specification; on -EINVAL, ret_message (free it) says what is wrong. */
int fault_add(const char *specification, char **ret_message);
void fault_clear(void);
/* Lets go whatever hangs, and drops the faults that would hang again. Returns how many were waiting. */
unsigned fault_release(void);
/* From now on nothing hangs and nothing is delayed: the host goes down. */
void fault_shutdown(void);
/* Does what the first matching fault says; it may take as long as it likes, so call it without the tree's lock.
 * 0 or the negative errno to fail with. */
int fault_apply(FaultOp op, const char *path);
/* How many requests hang at this moment, less those that were let go. */
unsigned fault_hanging(void);
void fault_append_list(GString *text);

/* "ENOSPC"; a number if it has no name here. The string stays. */
const char *fault_errno_name(int error);
/* The positive errno, or -EINVAL. */
int fault_errno_from_name(const char *name);
