/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A search of /proc for the processes that have device nodes open. */

#include "base/macros.h"

/* Find a process that has a node open. `name` and `other` (may be NULL) are two absolute paths of the node.
 * 1: found, *ret_pid and *ret_command (comm of the process) are set; 0: no process; -EACCES: none found, but
 * some processes could not be checked. */
int holders_find(int proc_fd, const char *name, const char *other, int *ret_pid, char **ret_command);

/* The open nodes in a folder, as a set of paths below the folder. `folder` and `other` (may be NULL) are two
 * paths of the folder, and end in a slash. -EACCES: some processes could not be checked, and *ret has the nodes
 * of the others. */
int holders_list(int proc_fd, const char *folder, const char *other, GHashTable **ret);
