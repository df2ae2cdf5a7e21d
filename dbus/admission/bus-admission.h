/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Admission of method calls: a filter in front of all objects, which gives each user a share of the daemon's
 * time and memory.
 *
 * The filter refuses calls longer than bus_call_size_max(), and writes to properties by users other than root.
 * All other calls pass while the daemon keeps up. When messages arrive faster, only calls of root pass at once:
 * the other users take turns, and the daemon spends most of its time on reading, because a call of root may
 * wait behind many messages. The filter asks the bus for the uid of a caller asynchronously (bus-callers.h),
 * and only if the uid matters.
 *
 * A call that waits for its uid, its turn or polkit is a copy of a known size, which is dispatched again from
 * the start. A turn is the time in which vgpud serves one such call. Each waiting call needs a place. Beyond a
 * user's share of the places, the filter refuses a call with TOO_MANY_CALLS before it uses the arguments, and
 * drops a call that expects no reply. */

#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "base/error.h"
#include "dbus/admission/bus-callers.h"
#include "dbus/admission/bus-refusals.h"

typedef struct BusAdmission BusAdmission;

/* Limits of the calls that wait for their uid: of one sender, and of all. The first call of a sender always has
 * a place if it is small: the bus limits the number of senders. A large call takes the place of
 * calls of the sender with the most waiting bytes, if this sender has more bytes than the call. If vgpud
 * refuses the call nevertheless, it asks the bus for the uid of the sender, so that the next call of root
 * passes. */
#define BUS_UNKNOWN_PER_SENDER_MAX 128U
#define BUS_UNKNOWN_MAX            1024U
#define BUS_UNKNOWN_BYTES_MAX      (8U * 1024U * 1024U)
#define BUS_UNKNOWN_SMALL          4096U

/* The connection must be attached to an event loop. */
int bus_admission_new(sd_bus *bus, BusAdmission **ret);
/* Drops the calls that wait. The caller has released all held calls and freed all watches before. */
BusAdmission *bus_admission_free(BusAdmission *a);

/* Effective uid of the caller, for a handler that is about to change something or to keep the call. 1: *ret is
 * set. 0: the bus is being asked; the handler must return 1 and will be called again. Errors: NOT_AUTHORIZED;
 * TOO_MANY_CALLS (no place is free for another waiting call of the user). */
int bus_admission_identify(BusAdmission *a, sd_bus_message *call, uid_t *ret, VgpudError *reterr);

/* Hold a call: keep a copy, which takes a place of the user, until bus_admission_release(). If the caller of
 * the call leaves the bus before, `left` is called, and must release the copy. Errors: TOO_MANY_CALLS; INVALID
 * (the arguments cannot be read). */
int bus_admission_hold(BusAdmission *a, sd_bus_message *call, uid_t uid, BusLeft left, void *userdata,
                       sd_bus_message **ret, VgpudError *reterr);
/* Give up a copy that bus_admission_hold() returned, and its place. */
void bus_admission_release(BusAdmission *a, sd_bus_message *held);

/* Dispatch a held call once more from the start. The hold stays. */
int bus_admission_dispatch(BusAdmission *a, sd_bus_message *held);

/* Log the refusal of an admitted call, if the error is one; see bus-refusals.h. The filter logs its own.
 * `action`: of polkit, with the details of the question; NULL: the method. */
void bus_admission_log_refusal(BusAdmission *a, sd_bus_message *call, const char *action,
                               const char *const *details, const VgpudError *e);

/* See bus_callers_watch(). */
BusWatch *bus_admission_watch(BusAdmission *a, sd_bus_message *call, BusLeft left, void *userdata);
