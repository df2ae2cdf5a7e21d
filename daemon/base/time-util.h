/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The two clocks, in microseconds: CLOCK_REALTIME for people, CLOCK_MONOTONIC for deadlines and order. */

#include <glib.h>
#include <stdint.h>
#include <time.h>

static inline uint64_t now_realtime_usec(void)
{
        return (uint64_t)g_get_real_time();
}

/* The clock of inodes: the time of the last tick. */
static inline uint64_t now_realtime_coarse_usec(void)
{
        struct timespec t;

        (void)clock_gettime(CLOCK_REALTIME_COARSE, &t);

        return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static inline uint64_t now_monotonic_usec(void)
{
        return (uint64_t)g_get_monotonic_time();
}
