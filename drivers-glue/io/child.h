/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Child processes that outlive us when they have to: each has a session of its own (a terminal's Ctrl-C must
 * not reach half-done work), all signals as at the start of a process, and of our descriptors only those that
 * it is given. What is open in a child stays open for as long as it hangs: nothing else of ours may be among
 * it. */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define CHILD_FIRST_FD 3
#define CHILD_FDS_MAX  2

typedef struct ChildArgs {
        const char *program;    /* absolute path */
        char *const *argv;      /* NULL-terminated, with its own name */
        char *const *environ;   /* NULL-terminated */
        int output_fd;          /* its standard output; -EBADF: /dev/null */
        bool keep_error;        /* its standard error is ours; else /dev/null */
        int fds[CHILD_FDS_MAX]; /* become its descriptors from CHILD_FIRST_FD on */
        size_t n_fds;
} ChildArgs;

/* *ret is the child's pid, which the caller reaps. -ENOENT when there is no such program. */
int child_start(const ChildArgs *args, pid_t *ret);
