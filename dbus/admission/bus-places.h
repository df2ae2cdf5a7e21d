/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The places of waiting calls: how many calls and bytes each user has waiting, and the limits. */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/error.h"

/* Waiting calls of all users, and of one user (as many as dbus-daemon lets one connection wait for:
 * max_replies_per_connection); bytes as bus_call_measure() counts. */
#define BUS_CALLS_MAX          1024U
#define BUS_CALLS_PER_USER_MAX 128U
#define BUS_BYTES_MAX          (8U * 1024U * 1024U)
#define BUS_BYTES_PER_USER_MAX (256U * 1024U)

typedef struct BusPlaces BusPlaces;

BusPlaces *bus_places_new(void);
BusPlaces *bus_places_free(BusPlaces *p);

/* May another call of the user wait? Root always has a place: root can stop the daemon anyway. TOO_MANY_CALLS.
 */
int bus_places_check(const BusPlaces *p, uid_t uid, size_t bytes, VgpudError *reterr);

/* Take a place, checked or not, and leave the place. */
void bus_places_take(BusPlaces *p, uid_t uid, size_t bytes);
void bus_places_leave(BusPlaces *p, uid_t uid, size_t bytes);
