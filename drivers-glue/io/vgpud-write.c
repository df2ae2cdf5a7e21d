/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* vgpud-write: does the write(2) calls that may never return, one at a time, on descriptors that come with
 * them. The protocol is in writer.h. It needs nothing but libc, so that it starts fast and has nothing to lose
 * when it is left alone in a write for the rest of the machine's uptime. */

#include "drivers-glue/io/writer.h"

#include <string.h>
#include <sys/socket.h>

#include "drivers-glue/io/io.h"

/* The number of bytes of the request, 0 when there will be no more; *ret_fd is -EBADF when it came without one.
 */
static ssize_t receive(char *value, size_t size, int *ret_fd)
{
        union {
                char bytes[CMSG_SPACE(sizeof(int))];
                struct cmsghdr align;
        } control;
        struct iovec iov = { .iov_base = value, .iov_len = size };
        struct msghdr m = { .msg_iov = &iov,
                            .msg_iovlen = 1,
                            .msg_control = &control,
                            .msg_controllen = sizeof(control.bytes) };
        ssize_t n;

        *ret_fd = -EBADF;
        do
                n = recvmsg(WRITER_SOCKET_FD, &m, MSG_CMSG_CLOEXEC);
        while (n < 0 && errno == EINTR);
        if (n <= 0)
                return 0;
        for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c))
                if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
                    c->cmsg_len == CMSG_LEN(sizeof(int)))
                        memcpy(ret_fd, CMSG_DATA(c), sizeof(*ret_fd));
        return n;
}

int main(void)
{
        /* One byte more than is allowed, to see what is too long. */
        char value[VGPU_IO_ATTR_MAX + 1];

        for (;;) {
                int fd, answer;
                ssize_t size = receive(value, sizeof(value), &fd), n;

                if (size == 0)
                        return 0;
                if (fd < 0 || size > VGPU_IO_ATTR_MAX)
                        answer = EINVAL;
                else {
                        n = write(fd, value, (size_t)size);
                        answer = n < 0 ? errno : n < size ? EIO : 0;
                }
                if (fd >= 0)
                        (void)close(fd);
                if (send(WRITER_SOCKET_FD, &answer, sizeof(answer), MSG_NOSIGNAL) < 0)
                        return 1; /* who asked has gone, and nobody else will ask */
        }
}
