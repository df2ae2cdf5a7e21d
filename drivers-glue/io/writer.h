/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The guarded writer: a child process (vgpud-write) that does write(2) calls on file descriptors handed to it,
 * one at a time. A write to sysfs may never return, and a thread inside it cannot be ended; a process that
 * holds such a thread cannot exit. So the writes that may hang are done by a child that nobody has to wait for.
 *
 * The child has a session of its own (a terminal's Ctrl-C must not reach a half-done write), holds nothing but
 * its socket and keep_fd, and ends by itself when the socket is closed and its write has returned.
 *
 * Protocol on a SOCK_SEQPACKET socket, the child's file descriptor 3: a request is the value (1..4096 bytes)
 * with one descriptor as SCM_RIGHTS; the answer is an int: 0 or the positive errno of write(2), EIO for a short
 * write. */

#include <stddef.h>

#include "base/macros.h"

#define WRITER_SOCKET_FD 3
#define WRITER_KEEP_FD   4

typedef struct Writer Writer;

/* Start the child. keep_fd (or -EBADF) is inherited as its descriptor 4. */
int writer_new(const char *program, int keep_fd, Writer **ret);

/* Write `size` bytes to fd in the child and wait for the answer: 0, the negative errno of write(2), or -EPROTO
 * when the child died. After -EPROTO the writer is of no more use. */
int writer_write(Writer *w, int fd, const char *value, size_t size);

/* Close the socket and reap the child if it ends at once; a child that is still in a write is left alone. */
Writer *writer_free(Writer *w);
