/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Faults that a test injects: an errno, a delay or a hang for an operation on an object. The module owns the
 * list of faults and the hanging requests.
 *
 * A fault is OP:OBJECT:ACTION[:COUNT]. OP is the end of the name of a FaultOp, in lower case ("create"); OBJECT
 * is "*", the name of a device or of any other path element (a GPU includes its virtual functions), or
 * NAME/ATTRIBUTE; ACTION is errno=NAME, delay=MILLISECONDS or hang; COUNT is the number of times, default: no
 * limit.
 */

#include <glib.h>

typedef enum FaultOp {
        FAULT_CREATE, /* vendor part of a creation: after the "add" event, before "bind" */
        FAULT_REMOVE, /* removal starts, right after the "remove" file has gone */
        FAULT_LINK,   /* creation, after "bind": links mdev_type and devices/UUID do not exist yet */
        FAULT_READ,   /* read of an attribute: no content generated yet */
        FAULT_WRITE,  /* write of an attribute: the attribute has not seen the value yet */
        FAULT_OPEN,
        FAULT_PROBE,   /* probe of a PCI driver: "bind", "drivers_probe", a new device */
        FAULT_ENABLE,  /* enabling, each VF after its "add" event; an errno undoes all VFs */
        FAULT_DISABLE, /* disabling, each VF after its links have gone; cannot fail */
        _FAULT_OP_MAX,
        _FAULT_OP_INVALID = -22,
} FaultOp;

/* Returns the address of the GPU that a path belongs to, also through one of its virtual functions, or NULL.
 * Called only while faults exist. */
typedef const char *(*FaultAliasFunc)(const char *path);
void fault_set_alias(FaultAliasFunc alias);
/* Adds a fault by its specification; on -EINVAL, ret_message (free it) says why. */
int fault_add(const char *specification, char **ret_message);
void fault_clear(void);
/* Releases all hanging requests, and drops the faults that would hang again. Returns the number of requests
 * released. */
unsigned fault_release(void);
/* The host shuts down: disables hangs and delays. */
void fault_shutdown(void);
/* Applies the first matching fault. Blocks as long as the fault says, so call without the tree's lock. Returns
 * 0 or the negative errno to fail with. */
int fault_apply(FaultOp op, const char *path);
/* Number of requests that hang now, without the released ones. */
unsigned fault_hanging(void);
void fault_append_list(GString *text);

/* "ENOSPC"; a number for an errno without a name here. Static. */
const char *fault_errno_name(int error);
/* The positive errno, or -EINVAL. */
int fault_errno_from_name(const char *name);
