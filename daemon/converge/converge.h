/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Convergence: creates the missing instances of the wanted definitions (model/want.h), after the kept settings
 * of their GPU (kept.h). A run follows each change of a GPU, an instance or a definition. If the kernel or a
 * driver refuses an instance, the next attempt follows after a pause of 1 s, which doubles up to 5 min.
 *
 * An instance that disappears with its GPU, driver or parent is created again. If an instance disappears and
 * the parent stays, another program removed the instance, and the definition is not wanted any more
 * (vanished.h).
 *
 * Main thread only. */

#include "daemon/forward.h"

/* Listens to the model. Nothing is started before converge_start(). */
Converge *converge_new(Model *m);
Converge *converge_free(Converge *c);

/* Begin, after the first scans. If nothing is missing, the readiness becomes "ready"; after [ready] timeout of
 * vgpud.conf, it becomes "degraded" otherwise. */
int converge_start(Converge *c);

/* Carry out MODEL_WISH_CONVERGE: a run, after a delay of 10 ms. */
void converge_run(Converge *c);
