/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Admission of method calls: a filter in front of all objects, which gives each user a share of the daemon's
 * time and memory.
 *
 * The filter refuses calls longer than bus_call_size_max(), and writes to properties by users other than root.
 * All other calls pass while the daemon keeps up. When messages arrive faster than vgpud serves them, only
 * calls of root pass at once. The other users take turns, and the daemon spends most of its time on reading
 * messages, because a call of root may be behind many of them. The filter asks the bus for the uid of a caller
 * asynchronously (bus-callers.h), and only if the uid matters.
 *
 * A call that waits for the uid of its caller, for its turn or for polkit is a copy of a known size, which is
 * dispatched again from the start. A turn is the time in which vgpud serves one such call. Each waiting call
 * needs a place. When a user has used up its share of the places, the filter refuses further calls of this user
 * with TOO_MANY_CALLS before any handler reads their arguments. A refused call that expects no reply is
 * dropped. */

#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "base/error.h"
#include "dbus/admission/bus-callers.h"
#include "dbus/admission/bus-refusals.h"

typedef struct BusAdmission BusAdmission;

/* Limits of the calls that wait until the uid of their sender is known: calls of one sender, calls and bytes of
 * all senders, and bytes of a small call. The first call of a sender always has a place if the call is small,
 * because the bus limits the number of senders. A large first call displaces calls of the sender with the most
 * waiting bytes, if this sender has more bytes than the call. Even if vgpud refuses the call, it asks the bus
 * for the uid of the sender, so that the next call passes if the sender is root. */
#define BUS_UNKNOWN_PER_SENDER_MAX 128U
#define BUS_UNKNOWN_MAX            1024U
#define BUS_UNKNOWN_BYTES_MAX      (8U * 1024U * 1024U)
#define BUS_UNKNOWN_SMALL          4096U

/* The connection must be attached to an event loop. */
int bus_admission_new(sd_bus *bus, BusAdmission **ret);
/* Drops the calls that wait. The caller must first release all held calls and free all watches. */
BusAdmission *bus_admission_free(BusAdmission *a);

/* Get the effective uid of the caller, for a handler that is about to change something or to keep the call.
 * Returns 1 if *ret is set, and 0 while the bus is being asked: then the handler must return 1 and will be
 * called again. Errors: NOT_AUTHORIZED; TOO_MANY_CALLS (no place is free for another waiting call of the user).
 */
int bus_admission_identify(BusAdmission *a, sd_bus_message *call, uid_t *ret, VgpudError *reterr);

/* Hold a call: keep a copy, which takes a place of the user, until bus_admission_release(). If the sender of
 * the call leaves the bus before the release, `left` is called and must release the copy. Errors:
 * TOO_MANY_CALLS; INVALID (the arguments cannot be read). */
int bus_admission_hold(BusAdmission *a, sd_bus_message *call, uid_t uid, BusLeft left, void *userdata,
                       sd_bus_message **ret, VgpudError *reterr);
/* Give up a copy that bus_admission_hold() returned, and its place. */
void bus_admission_release(BusAdmission *a, sd_bus_message *held);

/* Dispatch a held call once more from the start. The hold stays. */
int bus_admission_dispatch(BusAdmission *a, sd_bus_message *held);

/* Log the error of an admitted call if the error is a refusal; see bus-refusals.h. The filter logs its own
 * refusals. `action`: the polkit action, whose question has the `details`; NULL: the log names the method. */
void bus_admission_log_refusal(BusAdmission *a, sd_bus_message *call, const char *action,
                               const char *const *details, const VgpudError *e);

/* See bus_callers_watch(). */
BusWatch *bus_admission_watch(BusAdmission *a, sd_bus_message *call, BusLeft left, void *userdata);
