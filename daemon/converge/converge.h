/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Makes reality follow what should be: creates the instances of the wanted definitions (model/want.h) that do
 * not run, after the kept settings of their GPU have been applied (kept.h). Runs after start-up, and whenever
 * something changes: a GPU, its driver, its VFs and types, an instance, a definition. An attempt that the
 * kernel or a driver refuses is repeated after a pause, which grows from 1 s to 5 min.
 *
 * An instance that disappears without its GPU or parent was removed by another program: its definition is not
 * wanted any more. An instance that disappears with its GPU, driver or parent comes back with it.
 *
 * Main thread only. */

#include "daemon/forward.h"

/* Listens to the model. Nothing is started before converge_start(). */
Converge *converge_new(Model *m);
Converge *converge_free(Converge *c);

/* The first scans are over: begin, and let the readiness become "ready", or "degraded" after the deadline
 * [ready] timeout of vgpud.conf. */
int converge_start(Converge *c);

/* Carry out MODEL_WISH_CONVERGE. */
void converge_run(Converge *c);
