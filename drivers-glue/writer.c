/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The daemon's end of the guarded writer: starts vgpud-write and talks to it. */

#include "drivers-glue/writer.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "drivers-glue/io.h"

struct Writer {
        int fd; /* owned; our end of the socket */
        pid_t pid;
};

/* Above the numbers that the child's descriptors get, so that giving it one cannot overwrite another. */
static int duplicate_high(int fd)
{
        int copy = fcntl(fd, F_DUPFD_CLOEXEC, WRITER_KEEP_FD + 1);

        return copy < 0 ? -errno : copy;
}

static int spawn(const char *program, int socket_fd, int keep_fd, pid_t *ret)
{
        char *const argv[] = { (char *)"vgpud-write", NULL }, *const environment[] = { NULL };
        posix_spawn_file_actions_t actions;
        posix_spawnattr_t attributes;
        sigset_t none, all;
        int r;

        (void)sigemptyset(&none);
        (void)sigfillset(&all);
        r = posix_spawn_file_actions_init(&actions);
        if (r != 0)
                return -r;
        r = posix_spawnattr_init(&attributes);
        if (r != 0) {
                (void)posix_spawn_file_actions_destroy(&actions);
                return -r;
        }
        /* What is open in the child stays open for as long as its write hangs: nothing of ours may be among it.
         */
        if ((r = posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDWR, 0)) == 0 &&
            (r = posix_spawn_file_actions_adddup2(&actions, 0, 1)) == 0 &&
            (r = posix_spawn_file_actions_adddup2(&actions, 0, 2)) == 0 &&
            (r = posix_spawn_file_actions_adddup2(&actions, socket_fd, WRITER_SOCKET_FD)) == 0 &&
            (r = keep_fd >= 0 ? posix_spawn_file_actions_adddup2(&actions, keep_fd, WRITER_KEEP_FD) : 0) == 0 &&
            (r = posix_spawn_file_actions_addclosefrom_np(
                             &actions, keep_fd >= 0 ? WRITER_KEEP_FD + 1 : WRITER_SOCKET_FD + 1)) == 0 &&
            (r = posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK |
                                                                       POSIX_SPAWN_SETSIGDEF)) == 0 &&
            (r = posix_spawnattr_setsigmask(&attributes, &none)) == 0 &&
            (r = posix_spawnattr_setsigdefault(&attributes, &all)) == 0)
                r = posix_spawn(ret, program, &actions, &attributes, argv, environment);
        (void)posix_spawnattr_destroy(&attributes);
        (void)posix_spawn_file_actions_destroy(&actions);
        return -r;
}

int writer_new(const char *program, int keep_fd, Writer **ret)
{
        _cleanup_close_ int ours = -EBADF, theirs = -EBADF, theirs_high = -EBADF, keep_high = -EBADF;
        int fds[2], r;
        pid_t pid;

        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
                return -errno;
        ours = fds[0];
        theirs = fds[1];
        theirs_high = duplicate_high(theirs);
        if (theirs_high < 0)
                return theirs_high;
        if (keep_fd >= 0) {
                keep_high = duplicate_high(keep_fd);
                if (keep_high < 0)
                        return keep_high;
        }
        r = spawn(program, theirs_high, keep_high, &pid);
        if (r < 0)
                return r;

        Writer *w = g_new(Writer, 1);
        *w = (Writer){ .fd = TAKE_FD(ours), .pid = pid };
        *ret = w;
        return 0;
}

static int send_request(Writer *w, int fd, const char *value, size_t size)
{
        union {
                char bytes[CMSG_SPACE(sizeof(int))];
                struct cmsghdr align;
        } control = { 0 };
        struct iovec iov = { .iov_base = (char *)value, .iov_len = size };
        struct msghdr m = { .msg_iov = &iov,
                            .msg_iovlen = 1,
                            .msg_control = &control,
                            .msg_controllen = sizeof(control.bytes) };
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        ssize_t n;

        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(c), &fd, sizeof(fd));
        do
                n = sendmsg(w->fd, &m, MSG_NOSIGNAL);
        while (n < 0 && errno == EINTR);
        return n == (ssize_t)size ? 0 : -EPROTO;
}

int writer_write(Writer *w, int fd, const char *value, size_t size)
{
        int answer, r;
        ssize_t n;

        if (size == 0 || size > VGPU_IO_ATTR_MAX)
                return -EINVAL;
        r = send_request(w, fd, value, size);
        if (r < 0)
                return r;
        do
                n = recv(w->fd, &answer, sizeof(answer), 0);
        while (n < 0 && errno == EINTR);
        if (n != sizeof(answer) || answer < 0)
                return -EPROTO;
        return -answer;
}

Writer *writer_free(Writer *w)
{
        if (!w)
                return NULL;
        safe_close(w->fd);

        /* The end of the socket ends a child that waits for the next request, at once. One that is still in a
         * write is not waited for: it is reaped when the process ends. */
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
