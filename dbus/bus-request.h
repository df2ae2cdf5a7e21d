/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Calls that queue a job, and calls that wait for one. */

#include "dbus/bus.h"

/* The end of a handler that has queued a job: answer now, or with `wait` when the job has ended. */
int bus_request_answer(Bus *b, sd_bus_message *call, Job *job, bool wait);

/* The job has ended: answer the call that waits for it, if any. */
void bus_request_end(Bus *b, Job *job);

/* The daemon stops: answer all calls that wait, with CANCELED. */
void bus_request_cancel_all(Bus *b);
