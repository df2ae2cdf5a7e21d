/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Errors at the edge of the bus: a VgpudError becomes the error of a reply. The names come from the table in
 * base/error.h. */

#include <systemd/sd-bus.h>

#include "base/error.h"

/* Tell sd-bus which errno our names stand for. Once per process; again does no harm. */
int bus_error_register(void);

/* Fill *ret from what a function of the model returned and explained: r is its negative errno, e may be empty
 * (then the errno chooses the name) and may be NULL. Returns a negative errno, never 0, so that a handler can
 * end with `return bus_error_set(error, r, &e)`. */
int bus_error_set(sd_bus_error *ret, int r, const VgpudError *e);

/* Answer a kept call with such an error. */
int bus_error_reply(sd_bus_message *call, int r, const VgpudError *e);
