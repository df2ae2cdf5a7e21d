/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The line of progress on a terminal: drawn over itself, and cleared before other output. */

#include <stdbool.h>

#include "cli/arguments.h"
#include "cli/client/call.h"
#include "cli/host/host.h"

typedef struct Progress {
        bool shown;
} Progress;

void progress_clear(Progress *p);
void progress_show(Progress *p, const char *text);

/* A sentence about a job: what the job does or waits for, and for how long. `h` has all jobs; `timeout_usec` is
 * the time limit of jobs, 0 if unknown. Returns new text. */
char *progress_describe(const Host *h, const JobInfo *job, uint64_t timeout_usec);

/* Prints, after Ctrl-C, the jobs that go on, and how many calls have no answer or were not sent. `unasked`: no
 * call has left the queue of libsystemd. `h` may be NULL. */
void progress_say_goodbye(const Arguments *a, const Host *h, const Call *calls, size_t n_calls, bool unasked,
                          uint64_t timeout_usec);

/* Prints the error of Ctrl-C as JSON, with the jobs that go on. `h` may be NULL. */
void progress_say_goodbye_json(const Arguments *a, const Host *h, Call *calls, size_t n_calls, int status);
