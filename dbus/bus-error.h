/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Errors on the bus: turns a VgpudError into the error of a reply. The names come from the table in
 * base/error.h. */

#include <systemd/sd-bus.h>

#include "base/error.h"

/* Tell sd-bus the errno of each of our names. Safe to call again. */
int bus_error_register(void);

/* Fill *ret_error after a function of the model has failed with r, a negative errno. `e` explains the failure;
 * if it is NULL or empty, the errno chooses the name. Returns a negative errno, never 0, so that a handler can
 * end with `return bus_error_set(ret_error, r, &e)`. */
int bus_error_set(sd_bus_error *ret_error, int r, const VgpudError *e);

/* Answer a stored call with the same error. */
int bus_error_reply(sd_bus_message *call, int r, const VgpudError *e);
