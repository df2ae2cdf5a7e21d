/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Places for waiting calls: counts the waiting calls of each user and their bytes, and checks the limits. */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/error.h"

/* Limits of the waiting calls: of all users and of one user. The number of calls per user is the number that
 * dbus-daemon allows one connection (max_replies_per_connection). bus_call_measure() counts the bytes. */
#define BUS_CALLS_MAX          1024U
#define BUS_CALLS_PER_USER_MAX 128U
#define BUS_BYTES_MAX          (8U * 1024U * 1024U)
#define BUS_BYTES_PER_USER_MAX (256U * 1024U)

typedef struct BusPlaces BusPlaces;

BusPlaces *bus_places_new(void);
BusPlaces *bus_places_free(BusPlaces *p);

/* Check that another call of the user may wait. Root has no limit, because root can stop the daemon anyway.
 * Error: TOO_MANY_CALLS. */
int bus_places_check(const BusPlaces *p, uid_t uid, size_t bytes, VgpudError *reterr);

/* bus_places_take() takes a place for a call of this size, bus_places_leave() gives the place back. These
 * functions do not check the limits. */
void bus_places_take(BusPlaces *p, uid_t uid, size_t bytes);
void bus_places_leave(BusPlaces *p, uid_t uid, size_t bytes);
