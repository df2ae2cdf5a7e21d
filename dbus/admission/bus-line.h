/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A line: a queue that is fair to users. It returns one item of each user in turn, and the items of one user in
 * the order of their arrival. So a user with a thousand items delays another user by only one item. */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/macros.h"

typedef struct BusLine BusLine;

BusLine *bus_line_new(void);
/* The items are borrowed and stay. */
BusLine *bus_line_free(BusLine *l);

void bus_line_add(BusLine *l, uid_t uid, void *item);
/* Remove an item that bus_line_add() has added and bus_line_take() has not returned. */
void bus_line_remove(BusLine *l, uid_t uid, void *item);

/* Remove and return the next item of the next user for whom `may` returns true; NULL: there is no such item.
 * With `may` NULL, every user is served. */
void *bus_line_take(BusLine *l, bool (*may)(uid_t uid, void *userdata), void *userdata);

bool bus_line_is_empty(const BusLine *l);

/* True if a user who holds `own` of the `taken` places may take one more of all `places`. A user may hold at
 * most `max` places, and at most about half as many as stay free. So a lone user gets at most about a third
 * of the places, and some are left for others. */
bool bus_share_allows(size_t own, size_t max, size_t taken, size_t places);
