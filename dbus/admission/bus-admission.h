/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Admission of method calls: a filter in front of all objects, so that no user can take the daemon's time or
 * memory from another.
 *
 * Each call passes the filter before an object sees it. A call longer than BUS_CALL_SIZE_MAX is refused. While
 * the daemon keeps up, all other calls pass. When messages arrive faster, calls of root still pass; those of
 * other users take turns, one user after the other, and most of the time goes to reading the
 * connection, where a call of root may wait behind many. Who calls is asked from the bus
 * asynchronously (bus-callers.h), and only when it matters.
 *
 * A call that waits (for its uid, its turn or polkit) is a copy of a known size, kept here and dispatched again
 * from the start. Properties are written by root alone. Each user has a share of the places. Beyond it a call
 * is refused with TOO_MANY_CALLS before its arguments are used; one that expects no reply is dropped. */

#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "base/error.h"
#include "dbus/admission/bus-callers.h"

typedef struct BusAdmission BusAdmission;

/* Calls that wait for their uid, of one sender and of all. The first call of a sender always has a place if it
 * is small: a bus has few enough connections. */
#define BUS_UNKNOWN_PER_SENDER_MAX 128U
#define BUS_UNKNOWN_MAX            1024U
#define BUS_UNKNOWN_BYTES_MAX      (8U * 1024U * 1024U)
#define BUS_UNKNOWN_SMALL          4096U

/* The connection must be attached to an event loop. */
int bus_admission_new(sd_bus *bus, BusAdmission **ret);
/* Drops the calls that wait; all calls held and watches must have been released. */
BusAdmission *bus_admission_free(BusAdmission *a);

/* Effective uid of the caller, for a handler that is about to change something or to keep the call. 1: *ret is
 * set. 0: the bus is being asked; the handler must return 1 and will be called again. Errors: NOT_AUTHORIZED;
 * TOO_MANY_CALLS (the user has no place left for a call that waits). */
int bus_admission_identify(BusAdmission *a, sd_bus_message *call, uid_t *ret, VgpudError *reterr);

/* Hold a copy of the call in a place of the user until it is released. `left` is called if the caller leaves
 * before; it has to release the copy. Errors: TOO_MANY_CALLS; INVALID (the arguments cannot be read). */
int bus_admission_hold(BusAdmission *a, sd_bus_message *call, uid_t uid, BusLeft left, void *userdata,
                       sd_bus_message **ret, VgpudError *reterr);
/* Drops the reference that bus_admission_hold() gave. */
void bus_admission_release(BusAdmission *a, sd_bus_message *held);

/* Dispatch a held call once more from the start. The hold stays. */
int bus_admission_dispatch(BusAdmission *a, sd_bus_message *held);

/* See bus_callers_watch(). */
BusWatch *bus_admission_watch(BusAdmission *a, sd_bus_message *call, BusLeft left, void *userdata);
