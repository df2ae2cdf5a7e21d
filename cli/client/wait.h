/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Calls that are answered with jobs, and the wait for the end of these jobs (unless --no-block): several at a
 * time, with a line of progress on a terminal, and a Ctrl-C that says which jobs go on. --timeout bounds the
 * wait of each call from its answer on.
 *
 * The calls do not use the option "wait": the number of the job would come too late for the line of progress
 * and for Ctrl-C. */

#include "cli/client/call.h"
#include "cli/client/client.h"

/* Called for each call as it ends. */
typedef void (*CallFinished)(Call *call, void *userdata);

/* Returns 0 when all calls and jobs have ended, well or not; 128 + signal when the user ended the wait, after
 * printing which jobs go on; another exit status when waiting itself failed. */
int calls_run(Client *c, Call *calls, size_t n_calls, CallFinished finished, void *userdata);
