/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Sends calls that are answered with jobs, several calls at a time, and waits for the end of these jobs (unless
 * --no-block). Shows a line of progress on a terminal. After Ctrl-C, says which jobs go on. --timeout limits
 * how long each call waits after its answer.
 *
 * The calls do not use the option "wait", because the number of the job would come too late for the line of
 * progress and for Ctrl-C. */

#include "cli/client/call.h"
#include "cli/client/client.h"

/* Called for each call as it ends. */
typedef void (*CallFinished)(Call *call, void *userdata);

/* Returns 0 when all calls and jobs have ended, even if some failed; 128 + signal when the user ended the wait,
 * after printing which jobs go on; another exit status when waiting itself failed. */
int calls_run(Client *c, Call *calls, size_t n_calls, CallFinished finished, void *userdata);
