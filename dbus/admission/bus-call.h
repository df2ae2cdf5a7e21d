/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Method calls: the length of a call, and a copy of bounded size for calls that wait. */

#include <stdbool.h>
#include <stddef.h>
#include <systemd/sd-bus.h>

#include "base/error.h"

/* Limit for calls to org.vgpud1.*, by bus_call_measure(). DestroyMany with 1 024 instances needs 75 KiB. */
#define BUS_CALL_SIZE_MAX (128U * 1024U)
/* Limit for all other calls, because sd-bus answers most of them itself, with errors that repeat path and
 * arguments. */
#define BUS_CALL_SHORT_MAX 2048U
#define BUS_CALL_PATH_MAX  1024U

/* The limit that applies to this call: BUS_CALL_SIZE_MAX or BUS_CALL_SHORT_MAX. */
size_t bus_call_size_max(sd_bus_message *call);

/* Measure the arguments of a call: the bytes of their texts, and BUS_CALL_ITEM_SIZE for each item. Returns
 * -EMSGSIZE if the sum is larger than `max` or the object path is longer than BUS_CALL_PATH_MAX, and another
 * error if the arguments cannot be read. Leaves the call rewound. */
int bus_call_measure(sd_bus_message *call, size_t max, size_t *ret);
#define BUS_CALL_ITEM_SIZE 16U

/* Fail with INVALID if the call or its object path is too long. */
int bus_call_check(sd_bus_message *call, VgpudError *reterr);
/* Set the error INVALID after bus_call_measure() or bus_call_copy() has failed with r. */
int bus_call_unreadable(int r, VgpudError *reterr);

/* Copy a call: known header fields and arguments only. The copy can be answered and dispatched like the
 * original. Unknown header fields are left out because they may be as long as the bus allows: dbus-daemon
 * removes them, but dbus-broker does not. */
int bus_call_copy(sd_bus_message *call, sd_bus_message **ret);

/* True if the call expects no reply. */
bool bus_call_is_silent(sd_bus_message *call);
