/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Runs one call per object, each answered with a job. All calls are tried, and each failure is printed. The
 * exit status is the status of the first failed call, in the order of the calls. */

#include "cli/client/client.h"
#include "cli/client/wait.h"

typedef struct Batch {
        Client *client;
        const char *asked; /* "Could not destroy", without the object */
        const char *key;   /* key of the object in JSON */
        Call *calls;
        unsigned n_calls;
} Batch;

/* Runs the calls, prints the results, and returns the exit status. */
int batch_run(Batch *b);

/* Prints the results as JSON, for the owner of a batch without calls, whose list of results is empty:
 * batch_run() accepts no such batch, and prints the results of other batches itself. */
void batch_print_json(const Batch *b);

/* The result of a call in JSON: "done", "queued", "failed", "unknown". */
const char *call_result(const Call *call, const Arguments *a);
