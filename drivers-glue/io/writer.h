/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The guarded writer: a child process (vgpud-write) that performs write(2) calls on file descriptors that the
 * daemon sends, one at a time. A write to sysfs may never return, and a process with a thread in such a write
 * cannot exit. The daemon can exit without waiting for the child.
 *
 * The child has its own session (Ctrl-C in a terminal must not interrupt a write), holds only its socket and
 * keep_fd, and ends when the socket is closed and its write has returned.
 *
 * Protocol on a SOCK_SEQPACKET socket, file descriptor 3 of the child: a request is the value (1..4096 bytes)
 * with one descriptor as SCM_RIGHTS; the reply is an int: 0 or the positive errno of write(2), EIO for a short
 * write.
 *
 * A request with a witness (VgpuWitness) has a NUL and the name of the new device behind the value, and two
 * more descriptors: the folder of the device, and the record. After a successful write the child appends the
 * inode of the device to the record, and then replies. */

#include <stddef.h>

#include "base/macros.h"

#define WRITER_SOCKET_FD 3
#define WRITER_KEEP_FD   4

/* Descriptors of a request. */
enum {
        WRITER_FD_ATTRIBUTE,
        WRITER_FD_FOLDER, /* from here on: only with a witness */
        WRITER_FD_RECORD,
        WRITER_FDS_MAX,
};

typedef struct Writer Writer;

/* See VgpuWitness. All borrowed. */
typedef struct WriterWitness {
        int folder_fd;
        const char *name;
        int record_fd;
} WriterWitness;

/* Start the child. It inherits keep_fd, the lock of the lane (daemon/work/lane.h), as descriptor 4, so that the
 * lock is held until the last write has returned. keep_fd is -EBADF if the lane has no lock. */
int writer_new(const char *program, int keep_fd, Writer **ret);

/* writer_send(), then writer_receive(). */
int writer_write(Writer *w, int fd, const char *value, size_t size, const WriterWitness *witness);

/* Let the child write `size` bytes to fd. -EPROTO: the child died, and the writer cannot be used again.
 * `witness` may be NULL. */
int writer_send(Writer *w, int fd, const char *value, size_t size, const WriterWitness *witness);

/* A file descriptor that is readable when the write has returned. */
int writer_fd(const Writer *w);

/* Wait for the reply to writer_send(): 0, the negative errno of write(2), or -EPROTO as above. */
int writer_receive(Writer *w);

/* Close the socket and reap the child if it ends within a second; a child that is in a write goes on. */
Writer *writer_free(Writer *w);
