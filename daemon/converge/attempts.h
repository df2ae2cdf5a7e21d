/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The attempts of one run to create the instances of wanted definitions (converge.h): which definition needs a
 * start now, on which GPU, and why a definition waits. Main thread only. */

#include <stdint.h>

#include "daemon/converge/vanished.h"
#include "daemon/forward.h"

typedef struct Attempts Attempts;

/* Begin the attempts of a run. Takes the next step of the kept settings of each GPU (kept.h) first: instances
 * are created after the settings of their GPU. Control must not return to the event loop before
 * attempts_free(). */
Attempts *attempts_new(Model *m, const Vanished *vanished);
Attempts *attempts_free(Attempts *a);

/* If the definition, which must be wanted, needs a start, queue the job that creates the instance. Otherwise
 * set the reason of the wait. After a job that fails, a pause delays the next attempt (Want.retry_usec). */
void attempts_try(Attempts *a, const Definition *d);

/* The number of jobs that wait or run on the GPU. If they may take all room, attempts_try() queues no job, and
 * the end of the last job must cause another run. */
uint32_t attempts_count_jobs(const Gpu *gpu);
