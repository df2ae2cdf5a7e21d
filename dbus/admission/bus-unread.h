/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Unread answers. dbus-daemon holds answers until the clients read them, and charges the bytes to vgpud's
 * connection. From 127 MiB on (max_incoming_bytes), dbus-daemon reads nothing more from vgpud, so no client
 * gets an answer. dbus-daemon reports these bytes to root (org.freedesktop.DBus.Debug.Stats), and vgpud runs as
 * root. vgpud asks for the bytes and refuses calls of users long before the limit.
 *
 * dbus-broker charges the bytes to the client and does not report them. With dbus-broker, vgpud refuses no call
 * for this reason. */

#include <stdbool.h>
#include <systemd/sd-bus.h>

#include "base/macros.h"

typedef struct BusUnread BusUnread;

typedef enum BusUnreadState {
        BUS_UNREAD_FEW,  /* answer all calls */
        BUS_UNREAD_MANY, /* refuse calls of users other than root */
        BUS_UNREAD_FULL, /* drop calls of users other than root: an error is an answer, too */
} BusUnreadState;

/* The numbers of unread bytes from which vgpud refuses calls of users, and from which it drops the calls. */
#define BUS_UNREAD_MANY_BYTES (48U * 1024U * 1024U)
#define BUS_UNREAD_FULL_BYTES (64U * 1024U * 1024U)

/* `told` is called after each reply of the bus, because the reply may change the results of the functions
 * below. */
BusUnread *bus_unread_new(sd_bus *bus, void (*told)(void *userdata), void *userdata);
BusUnread *bus_unread_free(BusUnread *u);

/* Count a call of a user that expects a reply, and return what to do with the call. Asks the bus for the bytes
 * after some calls. */
BusUnreadState bus_unread_count(BusUnread *u);

/* True if vgpud refuses or drops calls of users. */
bool bus_unread_is_many(const BusUnread *u);

/* True if further calls should wait for the reply of the bus, because vgpud has counted many calls since it
 * asked the bus. */
bool bus_unread_is_due(const BusUnread *u);
