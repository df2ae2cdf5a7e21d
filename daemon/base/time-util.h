/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The two clocks, in microseconds: CLOCK_REALTIME for people, CLOCK_MONOTONIC for deadlines and order. */

#include <glib.h>
#include <stdint.h>

static inline uint64_t now_realtime_usec(void)
{
        return (uint64_t)g_get_real_time();
}

static inline uint64_t now_monotonic_usec(void)
{
        return (uint64_t)g_get_monotonic_time();
}
