/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Checks that a function runs in the right thread. The main thread, the first of the process, owns the model.
 * The thread of a lane owns the running work. The checks are active in every build. */

#include <stdbool.h>

#include "base/error.h"

typedef enum ThreadRole {
        THREAD_MAIN = 1 << 0,
        THREAD_LANE = 1 << 1,
} ThreadRole;

/* Set the roles of this thread: a lane sets its own, and a test that calls functions of a lane sets both. */
void thread_set_roles(unsigned roles);
bool thread_has_role(ThreadRole role);

#define assert_main_thread() assert_se(thread_has_role(THREAD_MAIN))
#define assert_in_lane()     assert_se(thread_has_role(THREAD_LANE))

/* Check an invariant in a lane, where a bug must not end the daemon: if the invariant is broken, log that and
 * set FAILED. The value is 0 or the negative errno of the error. */
#define lane_check(expr, reterr) (G_LIKELY(expr) ? 0 : thread_fail_check(#expr, __FILE__, __LINE__, (reterr)))
int thread_fail_check(const char *expr, const char *file, int line, VgpudError *reterr) _cold_;
