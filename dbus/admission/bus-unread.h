/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Unread answers. dbus-daemon holds answers until clients read, and counts the bytes against the daemon's
 * connection: at 127 MiB (max_incoming_bytes) dbus-daemon reads nothing more from the daemon, for any client.
 * Root may ask the bus for the number (org.freedesktop.DBus.Debug.Stats), so calls of users are refused long
 * before.
 *
 * dbus-broker charges the caller instead, and has no such number: no call is refused there. */

#include <stdbool.h>
#include <systemd/sd-bus.h>

#include "base/macros.h"

typedef struct BusUnread BusUnread;

typedef enum BusUnreadState {
        BUS_UNREAD_FEW,  /* all calls are answered */
        BUS_UNREAD_MANY, /* only root's calls are; others are refused */
        BUS_UNREAD_FULL, /* other calls are dropped: an error is an answer as well */
} BusUnreadState;

/* Bytes held by the bus from which on calls of users are refused, and dropped. */
#define BUS_UNREAD_MANY_BYTES (48U * 1024U * 1024U)
#define BUS_UNREAD_FULL_BYTES (64U * 1024U * 1024U)

/* `told` is called with each answer of the bus. */
BusUnread *bus_unread_new(sd_bus *bus, void (*told)(void *userdata), void *userdata);
BusUnread *bus_unread_free(BusUnread *u);

/* Count a user's call with a reply, and return its fate. Asks the bus again from time to time. */
BusUnreadState bus_unread_count(BusUnread *u);

/* Users' calls are not answered. */
bool bus_unread_is_many(const BusUnread *u);

/* So many calls have been counted since the last question that further ones should wait for the answer. */
bool bus_unread_is_due(const BusUnread *u);
