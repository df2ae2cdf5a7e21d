/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A file descriptor with a reference count, closed with the last reference. Work in a lane holds a reference:
 * a lane that is blocked in the kernel may go on after the main thread has freed its tables, and the number of
 * a closed descriptor may by then belong to another file. Any thread may call the functions. */

#include "base/macros.h"

typedef struct SharedFd SharedFd;

/* Takes ownership of the descriptor. */
SharedFd *shared_fd_new(int fd);
SharedFd *shared_fd_ref(SharedFd *s);
/* NULL is allowed. */
SharedFd *shared_fd_unref(SharedFd *s);
/* Valid as long as the caller holds a reference. */
int shared_fd_get(const SharedFd *s);
