/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "cli/client/ssh.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/macros.h"
#include "cli/client/child.h"

/* The signal that ends ssh, because ssh_run() makes ssh ignore SIGINT and SIGTERM. On SIGHUP, ssh restores
 * the terminal, even during a password prompt. */
#define END_SIGNAL SIGHUP

static void ssh_run(int fd, const char *host, bool ask, pid_t parent) __attribute__((noreturn));
static void ssh_run(int fd, const char *host, bool ask, pid_t parent)
{
        /* A destination with a port must be a URI. */
        g_autofree char *destination = strchr(host, ':') ? g_strconcat("ssh://", host, NULL) : g_strdup(host);
        const char *argv[12] = { "ssh", "-xT" };
        size_t n = 2;

        (void)signal(SIGINT, SIG_IGN);
        (void)signal(SIGTERM, SIG_IGN);
        (void)signal(END_SIGNAL, SIG_DFL);
        (void)signal(SIGPIPE, SIG_DFL);

        if (!child_begin(parent, END_SIGNAL))
                _exit(EXIT_FAILURE);
        /* dup2() onto the same number would keep the close-on-exec flag. */
        fd = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
        if (fd < 0 || dup2(fd, STDIN_FILENO) < 0 || dup2(fd, STDOUT_FILENO) < 0)
                _exit(EXIT_FAILURE);
        if (!ask) {
                argv[n++] = "-oBatchMode=yes";
                argv[n++] = "-oConnectTimeout=2";
        }

        argv[n++] = "--";
        argv[n++] = destination;
        argv[n++] = "systemd-stdio-bridge";
        (void)execvp(argv[0], (char *const *)argv);
        _exit(EXIT_FAILURE);
}

static int ssh_bus_new(int fd, sd_bus **ret)
{
        sd_bus *bus;
        int r;

        g_assert(fd >= 0);

        r = sd_bus_new(&bus);
        if (r < 0) {
                (void)safe_close(fd);
                return r;
        }

        r = sd_bus_set_fd(bus, fd, fd);
        if (r < 0) {
                (void)safe_close(fd);
                sd_bus_unref(bus);
                return r;
        }

        r = sd_bus_set_bus_client(bus, true);
        if (r >= 0)
                r = sd_bus_start(bus);
        if (r < 0) {
                sd_bus_close_unref(bus);
                return r;
        }

        *ret = bus;

        return 0;
}

int ssh_open(Ssh *s, const char *host, bool ask, sd_bus **ret)
{
        pid_t self = getpid();
        int ends[2], r;

        g_assert(s->pid == 0);

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
                return -errno;

        s->pid = fork();
        if (s->pid == 0)
                ssh_run(ends[1], host, ask, self);
        r = -errno;
        (void)safe_close(ends[1]);

        if (s->pid < 0) {
                s->pid = 0;
                (void)safe_close(ends[0]);
                return r;
        }

        return ssh_bus_new(ends[0], ret);
}

void ssh_close(Ssh *s)
{
        child_end(&s->pid, END_SIGNAL);
}
