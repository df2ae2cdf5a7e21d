/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Options of method calls: entries of the a{sv} that is open in the message. Results are negative errnos. */

#include <systemd/sd-bus.h>

#include "cli/arguments.h"

/* `value` points to a value of the basic type `signature`; a text is passed itself. */
int append_option(sd_bus_message *m, const char *key, const char *signature, const void *value);

/* Appends the options of the command line that several methods have, and closes the dictionary. */
int append_common_options(sd_bus_message *m, const Arguments *a);

/* Prints that a call could not be built, and returns the exit status. */
int not_sent(const Arguments *a, int r);
