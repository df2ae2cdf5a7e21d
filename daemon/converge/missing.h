/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What should run and does not: the GPUs whose kept settings are not applied (kept.h), and the wanted
 * definitions (model/want.h) without an instance of vgpud. A GPU that the host does not have is missing only in
 * the reasons of its definitions. Main thread only; the model is open. */

#include <glib.h>

#include "daemon/forward.h"

/* One clause (char *) for each thing that is missing, with the reason; at most `max` clauses: first the GPUs by
 * name, then the definitions by UUID. */
GPtrArray *missing_list(Model *m, size_t max);
/* How many clauses missing_list() has without a limit. */
size_t missing_count(Model *m);
