/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Where the command runs. In a testbed, umockdev's preload library leads it to the tree; in a namespace of its
 * own, the tree is /sys itself, and uevents come over real netlink. Also the guard: a process that cleans up if
 * the host is killed.
 */

#include <glib.h>
#include <stdbool.h>
#include <sys/types.h>

/* Forks a process that removes the directory, and what is mounted below it, when this one dies. Before any
 * thread. */
int sandbox_guard(const char *directory);
/* This process has cleaned up by itself. */
void sandbox_guard_dismiss(void);
/* Unmounts what is below the directory and deletes it. */
void sandbox_remove_directory(const char *directory);

/* A new mount and network namespace, and a user namespace where the caller is not root. Before any thread. */
int sandbox_unshare(void);
/* Makes sure that /dev/vfio can be mounted over, hides udev's state, keeps /sys/fs. */
int sandbox_prepare(const char *directory);
/* When the tree is at /sys. */
void sandbox_finish(const char *directory);
/* Joins the namespaces of a process. */
int sandbox_join(pid_t pid);
