/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Makes the process unable to start threads, as under TasksMax=, by RLIMIT_NPROC. The limit does not hold
 * for root, so root becomes another user. */

#include <sys/resource.h>
#include <unistd.h>

#include "tests.h"

#define NO_THREADS_UID 65534

typedef struct NoThreads {
        struct rlimit before;
        uid_t uid;
} NoThreads;

/* The saved user id stays root, which allows the return to root. */
static inline NoThreads no_threads_begin(void)
{
        NoThreads n = { .uid = getuid() };
        struct rlimit one;

        ASSERT_OK(getrlimit(RLIMIT_NPROC, &n.before));
        one = (struct rlimit){ .rlim_cur = 1, .rlim_max = n.before.rlim_max };
        ASSERT_OK(setrlimit(RLIMIT_NPROC, &one));
        if (n.uid == 0)
                ASSERT_OK(setresuid(NO_THREADS_UID, NO_THREADS_UID, 0));

        return n;
}

static inline void no_threads_end(const NoThreads *n)
{
        if (n->uid == 0)
                ASSERT_OK(setresuid(0, 0, 0));
        ASSERT_OK(setrlimit(RLIMIT_NPROC, &n->before));
}
