/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* vgpud-write: performs write(2) calls that may never return, one at a time, on file descriptors that it
 * receives. The protocol is in writer.h. The program needs only libc, so that it starts fast and holds few
 * resources while it is blocked in a write. */

#include "drivers-glue/io/writer.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "drivers-glue/io/io.h"

/* A value, a NUL and the name of a device, and one byte to detect requests that are too long. */
#define REQUEST_MAX (VGPU_IO_ATTR_MAX + 1 + NAME_MAX + 1)

/* Returns the size of the request; 0: the socket has ended or failed. Descriptors that the request does not
 * have are -EBADF. */
static ssize_t receive_request(char *request, size_t size, int fds[static WRITER_FDS_MAX])
{
        union {
                char bytes[CMSG_SPACE(WRITER_FDS_MAX * sizeof(int))];
                struct cmsghdr align;
        } control;
        struct iovec iov = { .iov_base = request, .iov_len = size };
        struct msghdr m = { .msg_iov = &iov,
                            .msg_iovlen = 1,
                            .msg_control = &control,
                            .msg_controllen = sizeof(control.bytes) };
        ssize_t n;

        for (int i = 0; i < WRITER_FDS_MAX; i++)
                fds[i] = -EBADF;

        do
                n = recvmsg(WRITER_SOCKET_FD, &m, MSG_CMSG_CLOEXEC);
        while (n < 0 && errno == EINTR);

        if (n <= 0)
                return 0;

        for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c))
                if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
                    c->cmsg_len <= CMSG_LEN(WRITER_FDS_MAX * sizeof(int)))
                        memcpy(fds, CMSG_DATA(c), c->cmsg_len - CMSG_LEN(0));

        return n;
}

/* Append to the record the proof that the write created the device. Without this line, a later daemon takes the
 * device for another program's. */
static void append_witness(const int fds[static WRITER_FDS_MAX], const char *device)
{
        char line[sizeof(VGPU_WITNESS_FORMAT) + 20];
        struct stat st;
        int n;

        if (fds[WRITER_FD_RECORD] < 0 || fstatat(fds[WRITER_FD_FOLDER], device, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return;

        n = snprintf(line, sizeof(line), VGPU_WITNESS_FORMAT, (unsigned long long)st.st_ino);
        if (write(fds[WRITER_FD_RECORD], line, (size_t)n) < 0)
                return; /* for example no memory: the record stays without proof */
}

int main(void)
{
        char request[REQUEST_MAX + 1];

        for (;;) {
                int fds[WRITER_FDS_MAX], answer;
                ssize_t all = receive_request(request, REQUEST_MAX, fds), n;
                size_t size;

                if (all == 0)
                        return 0;

                request[all] = 0;
                size = strlen(request);

                if (fds[WRITER_FD_ATTRIBUTE] < 0 || size > VGPU_IO_ATTR_MAX)
                        answer = EINVAL;
                else {
                        n = write(fds[WRITER_FD_ATTRIBUTE], request, size);
                        answer = n < 0 ? errno : (size_t)n < size ? EIO : 0;
                }

                if (answer == 0 && size < (size_t)all)
                        append_witness(fds, request + size + 1);

                for (int i = 0; i < WRITER_FDS_MAX; i++)
                        if (fds[i] >= 0)
                                (void)close(fds[i]);
                if (send(WRITER_SOCKET_FD, &answer, sizeof(answer), MSG_NOSIGNAL) < 0)
                        return 1; /* the daemon closed the socket */
        }
}
