/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Errors as the bus carries them, and their meaning for the user. */

#include <systemd/sd-bus.h>

#include "cli/arguments.h"
#include "cli/host/host.h"
#include "cli/output/errors.h"

/* Fill an empty *e with an error as the daemon or libsystemd reports it: name, message, and the details that
 * the call option error_details requests. A plain message may carry its hint after "\nHint: ". */
void call_error_read(ErrorInfo *e, sd_bus_message *answer); /* an error message */
void call_error_set(ErrorInfo *e, const char *name, const char *message);
void call_error_set_errno(ErrorInfo *e, int r);
void call_error_set_job(ErrorInfo *e, const JobInfo *j); /* the error of a job that has ended */

/* Fill an empty *e for the user, from `said`, the error of the daemon. The message begins with `asked`, which
 * names the user's request ("Could not destroy …"). Sets the exit status, and a general hint if the error has
 * no hint. */
void call_error_explain(ErrorInfo *e, const Arguments *a, const ErrorInfo *said, const char *asked);
