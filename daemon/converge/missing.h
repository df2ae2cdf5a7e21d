/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Lists the missing things: the GPUs without their kept settings (kept.h), and the wanted definitions
 * (model/want.h) without an instance of vgpud. A GPU that the host does not have is missing only if settings of
 * the GPU are kept. Main thread only, after model_open(). */

#include <glib.h>

#include "daemon/forward.h"

/* One clause (char *) for each missing thing, with the reason; at most `max` clauses: first the GPUs by name,
 * then the definitions by UUID. */
GPtrArray *missing_list(Model *m, size_t max);
/* The number of clauses of missing_list() without a limit. */
size_t missing_count(Model *m);
