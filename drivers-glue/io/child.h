/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Child processes that may outlive the daemon. Each has its own session (Ctrl-C in a terminal must not
 * interrupt half-done work), default signal handling, and only the file descriptors that the caller names,
 * because a child that hangs keeps its descriptors open. */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define CHILD_FIRST_FD 3
#define CHILD_FDS_MAX  2

typedef struct ChildArgs {
        const char *program;    /* absolute path */
        char *const *argv;      /* NULL-terminated, including the name of the program */
        char *const *environ;   /* NULL-terminated */
        int output_fd;          /* standard output of the child; -EBADF: /dev/null */
        bool keep_error;        /* share standard error with the child; else /dev/null */
        int fds[CHILD_FDS_MAX]; /* descriptors of the child from CHILD_FIRST_FD on */
        size_t n_fds;
} ChildArgs;

/* Start the child. *ret is its pid; the caller reaps the child. -ENOENT: no such program. */
int child_start(const ChildArgs *args, pid_t *ret);
