/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Computes Model.readiness from the missing things (missing.h) and the deadline [ready] timeout of vgpud.conf,
 * and logs each change. Main thread only. */

#include "daemon/forward.h"

typedef struct Ready Ready;

/* Starts the deadline. Errors: of sd_event_add_time(), logged. */
int ready_new(Model *m, Ready **ret);
/* NULL is allowed. */
Ready *ready_free(Ready *r);

/* Set and announce the readiness. Called after each run of the convergence: a run follows each change of the
 * model. */
void ready_update(Ready *r);
