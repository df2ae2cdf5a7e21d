/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Shows a tree of nodes as a FUSE file system. It owns the sessions and their threads, the open files, and the
 * rules of sysfs files: which errno open(2), read(2) and write(2) give, and that each write(2) is one call of
 * store().
 */

#include "simhost/node.h"

/* Mounts the tree at a directory and serves it in threads of its own. */
int fs_mount(Node *root, const char *mount_point, bool everyone);
/* Takes all mounts down; requests that still hang are answered by the kernel when the process ends. */
void fs_unmount_all(void);

/* The log of all writes since the start, or since it was cleared: "RESULT PATH VALUE" per line, in the order in
 * which they ended. RESULT is "ok" or the errno's name, PATH begins with /sys/devices (no links), VALUE is
 * escaped. */
void fs_append_write_log(GString *text, bool clear);
