/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* vgpud-write: performs write(2) calls that may never return, one at a time, on file descriptors that it
 * receives. The protocol is in writer.h. The program needs only libc, so that it starts fast and holds few
 * resources while it is blocked in a write. */

#include "drivers-glue/io/writer.h"

#include <string.h>
#include <sys/socket.h>

#include "drivers-glue/io/io.h"

/* Returns the size of the request, 0 at the end of the socket. *ret_fd is -EBADF if the request has no
 * descriptor. */
static ssize_t receive_request(char *value, size_t size, int *ret_fd)
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
        /* One byte above the limit, to detect requests that are too long. */
        char value[VGPU_IO_ATTR_MAX + 1];

        for (;;) {
                int fd, answer;
                ssize_t size = receive_request(value, sizeof(value), &fd), n;

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
                        return 1; /* the daemon closed the socket */
        }
}
