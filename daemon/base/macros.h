/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Small helpers for every layer: cleanup attributes, file descriptors, string tables. */

#include <errno.h>
#include <glib.h>
#include <stddef.h>
#include <unistd.h>

#define _cleanup_(f)   __attribute__((cleanup(f)))
#define _printf_(f, a) __attribute__((format(printf, f, a)))
#define _cold_         __attribute__((cold))

/* Check an expression that has an effect. Unlike g_assert(), assert_se() evaluates it in every build. */
#define assert_se(expr)                                                                              \
        do {                                                                                         \
                if (G_UNLIKELY(!(expr)))                                                             \
                        g_assertion_message_expr(G_LOG_DOMAIN, __FILE__, __LINE__, __func__, #expr); \
        } while (0)

/* All times are in microseconds: CLOCK_REALTIME for people, CLOCK_MONOTONIC for deadlines. */
#define USEC_PER_SEC  ((uint64_t)1000000)
#define USEC_PER_MSEC ((uint64_t)1000)

static inline int safe_close(int fd)
{
        if (fd >= 0) {
                int saved = errno;
                (void)close(fd);
                errno = saved;
        }
        return -EBADF;
}

static inline void closep(int *fd)
{
        *fd = safe_close(*fd);
}
#define _cleanup_close_ _cleanup_(closep)

/* The value of a variable that owns a file descriptor. The variable becomes -EBADF. */
#define TAKE_FD(fd)                            \
        ({                                     \
                int *_pfd = &(fd), _v = *_pfd; \
                *_pfd = -EBADF;                \
                _v;                            \
        })

/* A destructor for GLib's containers: DEFINE_DESTROY_NOTIFY(job_destroy, job_free) */
#define DEFINE_DESTROY_NOTIFY(name, func) \
        static void name(gpointer p)      \
        {                                 \
                (void)func(p);            \
        }

/* Enums whose strings appear on the bus, in state files or in output:
 *     static const char *const gpu_state_table[_GPU_STATE_MAX] = { [GPU_NEW] = "new", … };
 *     DEFINE_STRING_TABLE(gpu_state, GpuState)
 * gives gpu_state_to_string() (NULL when out of range) and gpu_state_from_string() (-EINVAL when unknown). */
#define DEFINE_STRING_TABLE_TO_STRING(prefix, type)                          \
        const char *prefix##_to_string(type v)                               \
        {                                                                    \
                if ((int)v < 0 || (size_t)v >= G_N_ELEMENTS(prefix##_table)) \
                        return NULL;                                         \
                return prefix##_table[v];                                    \
        }
#define DEFINE_STRING_TABLE_FROM_STRING(prefix, type)                          \
        type prefix##_from_string(const char *s)                               \
        {                                                                      \
                for (size_t i = 0; s && i < G_N_ELEMENTS(prefix##_table); i++) \
                        if (g_strcmp0(prefix##_table[i], s) == 0)              \
                                return (type)i;                                \
                return (type)-EINVAL;                                          \
        }
#define DEFINE_STRING_TABLE(prefix, type)           \
        DEFINE_STRING_TABLE_TO_STRING(prefix, type) \
        DEFINE_STRING_TABLE_FROM_STRING(prefix, type)
