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

/* Prints the results as JSON. batch_run() does this itself, but accepts no batch without calls. The caller of
 * such a batch prints the empty list of results with this function. */
void batch_print_json(const Batch *b);

/* The result of a call in JSON: "done", "queued", "failed", "unknown". */
const char *call_result(const Call *call, const Arguments *a);
