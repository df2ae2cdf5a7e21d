/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "cli/client/child.h"

#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/macros.h"

bool child_begin(pid_t parent, int signal)
{
        sigset_t none;

        g_assert(parent > 0);
        g_assert(signal > 0);

        (void)sigemptyset(&none);
        (void)sigprocmask(SIG_SETMASK, &none, NULL);

        return prctl(PR_SET_PDEATHSIG, signal) >= 0 && getppid() == parent;
}

void child_end(pid_t *pid, int signal)
{
        if (*pid <= 0)
                return;

        (void)kill(*pid, signal);
        (void)kill(*pid, SIGCONT);

        while (waitpid(*pid, NULL, 0) < 0 && errno == EINTR)
                ;
        *pid = 0;
}
