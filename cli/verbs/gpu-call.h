/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* One call of a method of the GPU that the first word names. Results are exit statuses. */

#include "cli/client/client.h"
#include "cli/host/host.h"
#include "cli/verbs/batch.h"

/* Completes the only call of the batch with the options, and runs it. The message has its arguments: `r` is the
 * result of appending them. `status` is the exit status of making the message. Releases the calls. */
int gpu_call_run(Batch *b, int r, int status);
