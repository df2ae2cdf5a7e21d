/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "cli/client/agent.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/macros.h"
#include "cli/client/child.h"

#define AGENT_BINARY "/usr/bin/pkttyagent"

void agent_init(Agent *a)
{
        *a = (Agent){ 0 };
}

static void agent_run(int ready_fd, pid_t parent) __attribute__((noreturn));
static void agent_run(int ready_fd, pid_t parent)
{
        char number[16];

        /* An agent that outlives vgpuctl would keep the terminal. */
        if (!child_begin(parent, SIGTERM))
                _exit(EXIT_FAILURE);
        if (fcntl(ready_fd, F_SETFD, 0) < 0)
                _exit(EXIT_FAILURE);
        (void)snprintf(number, sizeof(number), "%d", ready_fd);
        (void)execl(AGENT_BINARY, AGENT_BINARY, "--notify-fd", number, "--fallback", (char *)NULL);
        _exit(EXIT_FAILURE);
}

static bool agent_has_terminal(void)
{
        _cleanup_close_ int tty = -EBADF;

        if (isatty(STDIN_FILENO) != 1)
                return false;

        /* The agent uses the controlling terminal, not stdin. */
        tty = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);

        return tty >= 0;
}

void agent_open(Agent *a)
{
        _cleanup_close_ int ready = -EBADF, notify = -EBADF;
        pid_t self = getpid();
        int ends[2];

        if (a->pid > 0 || geteuid() == 0 || !agent_has_terminal() || access(AGENT_BINARY, X_OK) < 0)
                return;

        if (pipe2(ends, O_CLOEXEC) < 0)
                return;

        ready = ends[0];
        notify = ends[1];

        a->pid = fork();
        if (a->pid < 0) {
                a->pid = 0;
                return;
        }

        if (a->pid == 0)
                agent_run(notify, self);

        /* The agent closes this pipe once it is registered with polkit. If the agent dies, the kernel closes
         * the pipe. */
        notify = safe_close(notify);
        struct pollfd p = { .fd = ready, .events = POLLIN };

        while (poll(&p, 1, -1) < 0 && errno == EINTR)
                ;
}

void agent_close(Agent *a)
{
        child_end(&a->pid, SIGTERM);
        g_assert(a->pid == 0);
}
