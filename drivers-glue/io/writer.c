/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The daemon's side of the guarded writer: starts vgpud-write and sends requests. */

#include "drivers-glue/io/writer.h"

#include <poll.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "drivers-glue/io/io.h"
#include "drivers-glue/io/child.h"

struct Writer {
        int fd; /* owned; the daemon's end of the socket */
        pid_t pid;
};

int writer_new(const char *program, int keep_fd, Writer **ret)
{
        char *const argv[] = { (char *)"vgpud-write", NULL }, *const environment[] = { NULL };
        _cleanup_close_ int ours = -EBADF, theirs = -EBADF;
        int fds[2], r;
        pid_t pid;

        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
                return -errno;

        ours = fds[0];
        theirs = fds[1];

        r = child_start(&(ChildArgs){ .program = program,
                                      .argv = argv,
                                      .environ = environment,
                                      .output_fd = -EBADF,
                                      .fds = { [WRITER_SOCKET_FD - CHILD_FIRST_FD] = theirs,
                                               [WRITER_KEEP_FD - CHILD_FIRST_FD] = keep_fd },
                                      .n_fds = keep_fd >= 0 ? 2 : 1 },
                        &pid);
        if (r < 0)
                return r;

        Writer *w = g_new(Writer, 1);
        *w = (Writer){ .fd = TAKE_FD(ours), .pid = pid };
        *ret = w;

        return 0;
}

static int writer_send_request(Writer *w, int fd, const char *value, size_t size, const WriterWitness *witness)
{
        const int fds[WRITER_FDS_MAX] = {
                [WRITER_FD_ATTRIBUTE] = fd,
                [WRITER_FD_FOLDER] = witness ? witness->folder_fd : -EBADF,
                [WRITER_FD_RECORD] = witness ? witness->record_fd : -EBADF,
        };
        size_t fds_size = (witness ? WRITER_FDS_MAX : 1) * sizeof(int);
        size_t name_size = witness ? strlen(witness->name) : 0;
        union {
                char bytes[CMSG_SPACE(sizeof(fds))];
                struct cmsghdr align;
        } control = { 0 };
        struct iovec iov[] = {
                { .iov_base = (char *)value, .iov_len = size },
                { .iov_base = (char *)"", .iov_len = 1 },
                { .iov_base = witness ? (char *)witness->name : NULL, .iov_len = name_size },
        };
        struct msghdr m = { .msg_iov = iov,
                            .msg_iovlen = witness ? G_N_ELEMENTS(iov) : 1,
                            .msg_control = &control,
                            .msg_controllen = CMSG_SPACE(fds_size) };
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        size_t all = witness ? size + 1 + name_size : size;
        ssize_t n;

        g_assert(c);

        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(fds_size);
        memcpy(CMSG_DATA(c), fds, fds_size);

        do
                n = sendmsg(w->fd, &m, MSG_NOSIGNAL);
        while (n < 0 && errno == EINTR);

        return n == (ssize_t)all ? 0 : -EPROTO;
}

int writer_send(Writer *w, int fd, const char *value, size_t size, const WriterWitness *witness)
{
        g_assert(w->fd >= 0);
        g_assert(fd >= 0);
        g_assert(!witness || (witness->folder_fd >= 0 && witness->record_fd >= 0));

        if (size == 0 || size > VGPU_IO_ATTR_MAX)
                return -EINVAL;

        return writer_send_request(w, fd, value, size, witness);
}

int writer_fd(const Writer *w)
{
        g_assert(w->fd >= 0);

        return w->fd;
}

int writer_receive(Writer *w)
{
        int answer;
        ssize_t n;

        g_assert(w->fd >= 0);

        do
                n = recv(w->fd, &answer, sizeof(answer), 0);
        while (n < 0 && errno == EINTR);

        if (n != sizeof(answer) || answer < 0)
                return -EPROTO;

        return -answer;
}

int writer_write(Writer *w, int fd, const char *value, size_t size, const WriterWitness *witness)
{
        int r = writer_send(w, fd, value, size, witness);

        return r < 0 ? r : writer_receive(w);
}

Writer *writer_free(Writer *w)
{
        if (!w)
                return NULL;

        safe_close(w->fd);

        /* A child that waits for the next request ends at once when the socket closes. A child that is blocked
         * in a write ends later; PID 1 reaps it after the daemon has ended. */
        _cleanup_close_ int pidfd = pidfd_open(w->pid, 0);
        if (pidfd >= 0) {
                struct pollfd p = { .fd = pidfd, .events = POLLIN };
                int n;

                do
                        n = poll(&p, 1, 1000);
                while (n < 0 && errno == EINTR);
        }

        (void)waitpid(w->pid, NULL, WNOHANG);
        g_free(w);

        return NULL;
}
