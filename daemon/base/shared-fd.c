/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "base/shared-fd.h"

struct SharedFd {
        gatomicrefcount refs;
        int fd; /* owned */
};

SharedFd *shared_fd_new(int fd)
{
        SharedFd *s = g_new(SharedFd, 1);

        g_assert(fd >= 0);

        *s = (SharedFd){ .fd = fd };
        g_atomic_ref_count_init(&s->refs);

        return s;
}

SharedFd *shared_fd_ref(SharedFd *s)
{
        g_atomic_ref_count_inc(&s->refs);

        return s;
}

SharedFd *shared_fd_unref(SharedFd *s)
{
        if (!s || !g_atomic_ref_count_dec(&s->refs))
                return NULL;

        safe_close(s->fd);
        g_free(s);

        return NULL;
}

int shared_fd_get(const SharedFd *s)
{
        return s->fd;
}
