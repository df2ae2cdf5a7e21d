/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Options of method calls: entries of the a{sv} that is open in the message. Results are negative errnos. */

#include <systemd/sd-bus.h>

#include "cli/arguments.h"
#include "cli/output/errors.h"

/* Options that influence which GPU create and place choose. */
#define PLACE_OPTIONS (OPTION_STRATEGY | OPTION_NUMA_NODE | OPTION_PREFER_NUMA_NODE | OPTION_NEAR | OPTION_POOL)

/* `near`: the device of --near, as near_resolve() returns it; NULL: none. */
int append_place_options(sd_bus_message *m, const Arguments *a, const char *near);

/* Append the option "attributes": those of --attr, or with --no-attrs an empty array. */
int append_attributes(sd_bus_message *m, const Arguments *a);

/* Adds a hint to an error without one, if the error seems to be about attributes. */
void explain_attributes(ErrorInfo *e, const Arguments *a);

/* Append the whole a{sv} of a method that queues a job. append_keep_options() also appends the option "keep",
 * if a->keep is true. append_destroy_options() also appends the options "foreign", if a->foreign is true, and
 * "defined", if `defined` is true. */
int append_job_options(sd_bus_message *m, const Arguments *a);
int append_keep_options(sd_bus_message *m, const Arguments *a);
int append_destroy_options(sd_bus_message *m, const Arguments *a, bool defined);
