/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Callers: asks the bus for the uid behind each unique name, once and asynchronously, and notices when callers
 * leave the bus.
 *
 * One match for the end of any connection serves all callers: a match per caller would cost two messages each,
 * and dbus-daemon allows only 512 matches. On a connection without a bus daemon the peer is the only caller. */

#include <stdbool.h>
#include <sys/types.h>
#include <systemd/sd-bus.h>

#include "base/macros.h"

typedef struct BusCallers BusCallers;
typedef struct BusWatch BusWatch;

/* Maximum number of remembered callers: twice the connections that dbus-daemon allows (2 048,
 * max_completed_connections). At this maximum, vgpud forgets idle callers, and asks for their uids again when
 * they call. */
#define BUS_CALLERS_MAX 4096U

/* The result of bus_callers_ask(). error: 0 or a negative errno; -ENXIO: the caller has left. */
typedef void (*BusIdentified)(const char *name, uid_t uid, int error, void *userdata);
typedef void (*BusLeft)(void *userdata);

int bus_callers_new(sd_bus *bus, BusIdentified identified, void *userdata, BusCallers **ret);
/* All watches must have been freed before. */
BusCallers *bus_callers_free(BusCallers *c);

/* Returns 1 if *ret is the uid of the caller, and 0 if the uid is not known. */
int bus_callers_get(const BusCallers *c, sd_bus_message *call, uid_t *ret);

/* Ask the bus for the uid of an unknown caller. Asks only once if called several times. -ENOBUFS: too many
 * callers. */
int bus_callers_ask(BusCallers *c, const char *name);

/* Call `left`, once, when the caller leaves the bus. Returns NULL if nothing is watched, because the call has
 * no sender, the table of callers is full, or there is no bus daemon (the connection ends with its only
 * caller). */
BusWatch *bus_callers_watch(BusCallers *c, sd_bus_message *call, BusLeft left, void *userdata);
BusWatch *bus_watch_free(BusWatch *w);

/* Number of remembered callers. */
size_t bus_callers_count(const BusCallers *c);

/* True if the bus daemon sent the message. A match of sd-bus with a well-known sender accepts a unicast signal
 * of any client, so signal handlers must check. */
bool bus_is_from_bus(sd_bus_message *m);
