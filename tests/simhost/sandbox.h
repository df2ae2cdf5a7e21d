/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The environment of the command that the host runs. In a testbed, umockdev's preload library redirects the
 * command to the simulated tree; in a separate namespace, the tree is mounted over /sys, and uevents come over
 * real netlink. The module also forks the guard: a process that cleans up if the host is killed.
 */

#include <glib.h>
#include <stdbool.h>
#include <sys/types.h>

/* Forks a process that removes the directory, and all mounts below, when the caller dies. Call before the first
 * thread. */
int sandbox_guard(const char *directory);
/* Call after the caller has cleaned up. */
void sandbox_guard_dismiss(void);
/* Deletes the directory and all mounts below. */
void sandbox_remove_directory(const char *directory);

/* Enters a new mount and network namespace, and a user namespace if the caller is not root. Call before any
 * thread exists. */
int sandbox_unshare(void);
/* Forks a process, before any thread, which mounts the tree over /sys in a mount namespace of its own when
 * sandbox_finish() tells it to. The host itself must not see its own tree as /sys: the C library counts the
 * processors there, and would wait for the host. nodes: present names below /dev, NULL at the end. */
int sandbox_prepare(const char *directory, const char *const *nodes);
/* The tree is at DIRECTORY/sys and DIRECTORY/vfio. Returns descriptors of the command's mount namespace and of
 * its root directory. */
int sandbox_finish(int *ret_mounts_fd, int *ret_root_fd);
/* Enters a mount namespace. */
int sandbox_enter_mounts(int mounts_fd, int root_fd);
/* Joins the namespaces of the host with this pid. mounts and root: paths in /proc of the descriptors that
 * sandbox_finish() returned in that host. */
int sandbox_join(pid_t pid, const char *mounts, const char *root);
