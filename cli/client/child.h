/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A program that works for this one for a while, on the same terminal, and does not outlive it. */

#include <stdbool.h>
#include <sys/types.h>

/* In the new process, before exec: `signal` ends it when `parent`, which forked it, ends; no signal is blocked.
 * false: the parent has ended already, or the kernel refuses. */
bool child_begin(pid_t parent, int signal);
/* End it by that signal, also when it is stopped, and wait for that. *pid is 0 afterwards; nothing is done when
 * it is before. */
void child_end(pid_t *pid, int signal);
