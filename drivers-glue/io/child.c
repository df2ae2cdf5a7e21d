/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* posix_spawn(3) for children that may outlive the daemon; see child.h. */

#include "drivers-glue/io/child.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>

#include "base/macros.h"

/* Duplicates the descriptor to a number above all descriptors of the child, so that no dup2() in the child
 * overwrites another descriptor. */
static int child_duplicate_high(int fd)
{
        int copy = fcntl(fd, F_DUPFD_CLOEXEC, CHILD_FIRST_FD + CHILD_FDS_MAX);

        return copy < 0 ? -errno : copy;
}

/* Returns 0 or a positive errno, like the posix_spawn functions. */
static int child_add_files(posix_spawn_file_actions_t *actions, const ChildArgs *args, int output,
                           const int *fds)
{
        int r = posix_spawn_file_actions_addopen(actions, 0, "/dev/null", O_RDWR, 0);

        if (r == 0)
                r = posix_spawn_file_actions_adddup2(actions, output >= 0 ? output : 0, 1);
        if (r == 0 && !args->keep_error)
                r = posix_spawn_file_actions_adddup2(actions, 0, 2);
        for (size_t i = 0; r == 0 && i < args->n_fds; i++)
                r = posix_spawn_file_actions_adddup2(actions, fds[i], CHILD_FIRST_FD + (int)i);
        if (r == 0)
                r = posix_spawn_file_actions_addclosefrom_np(actions, CHILD_FIRST_FD + (int)args->n_fds);

        return r;
}

static int child_spawn(const ChildArgs *args, int output, const int *fds, pid_t *ret)
{
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

        if ((r = child_add_files(&actions, args, output, fds)) == 0 &&
            (r = posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK |
                                                                       POSIX_SPAWN_SETSIGDEF)) == 0 &&
            (r = posix_spawnattr_setsigmask(&attributes, &none)) == 0 &&
            (r = posix_spawnattr_setsigdefault(&attributes, &all)) == 0)
                r = posix_spawn(ret, args->program, &actions, &attributes, args->argv, args->environ);

        (void)posix_spawnattr_destroy(&attributes);
        (void)posix_spawn_file_actions_destroy(&actions);

        return -r;
}

int child_start(const ChildArgs *args, pid_t *ret)
{
        int fds[CHILD_FDS_MAX], output = -EBADF, r = 0;
        size_t n = 0;

        g_assert(args->n_fds <= CHILD_FDS_MAX);
        g_assert(args->program[0]);
        g_assert(args->argv[0]);

        if (args->output_fd >= 0)
                r = output = child_duplicate_high(args->output_fd);
        for (; r >= 0 && n < args->n_fds; n++)
                r = fds[n] = child_duplicate_high(args->fds[n]);
        if (r >= 0)
                r = child_spawn(args, output, fds, ret);
        while (n > 0)
                safe_close(fds[--n]);
        safe_close(output);

        return r;
}
