/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* One call of a method of the GPU that the first word of the command line names. */

#include "cli/client/client.h"
#include "cli/host/host.h"
#include "cli/verbs/batch.h"

/* Appends the options to the only call of the batch, runs the call, and releases it. Returns the exit status.
 * The call is not sent if the message could not be made (`status` is the exit status of that failure) or if its
 * arguments could not be appended (`r` is the negative errno). */
int gpu_call_run(Batch *b, int r, int status);
