/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Where the command runs. In a testbed, umockdev's preload library leads it to the tree; in a namespace of its
 * own, the tree lies over /sys, and uevents come over real netlink. Also the guard: a process that cleans up if
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
/* The host itself must not see its tree as /sys: the C library reads there how many processors there are, and
 * would wait for the host. So the tree is mounted in the host's directory, and put over /sys in one more mount
 * namespace, by a process that is forked here, before any thread, and does it when told to. nodes: names below
 * /dev that are there, NULL at the end. */
int sandbox_prepare(const char *directory, const char *const *nodes);
/* The tree is at DIRECTORY/sys and DIRECTORY/vfio. Returns a descriptor of the command's mount namespace. */
int sandbox_finish(void);
/* Enters a mount namespace. */
int sandbox_enter_mounts(int fd);
/* Joins a host's namespaces; mounts is the path of the descriptor of the last one. */
int sandbox_join(pid_t pid, const char *mounts);
