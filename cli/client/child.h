/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Child programs on the same terminal that do not outlive vgpuctl. */

#include <stdbool.h>
#include <sys/types.h>

/* Prepare the new process, before exec: the kernel will send `signal` to the child when `parent` ends, and no
 * signal is blocked. Returns false if the parent has ended already or the kernel refuses. */
bool child_begin(pid_t parent, int signal);
/* Sends the signal to the child, running or stopped, waits for its end, and sets *pid to 0. Does nothing if
 * *pid is 0 already. */
void child_end(pid_t *pid, int signal);
