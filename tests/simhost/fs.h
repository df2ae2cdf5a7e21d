/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Shows a tree of nodes as a FUSE file system. The module owns the sessions and their threads, the open files,
 * and the rules of sysfs files: the errno of open(2), read(2) and write(2), and one call of store() per
 * write(2).
 */

#include "simhost/node.h"

/* Mounts the tree at a directory and serves it in separate threads. */
int fs_mount(Node *root, const char *mount_point, bool everyone);
/* Unmounts all trees; the kernel answers hanging requests when the process ends. */
void fs_unmount_all(void);

/* Appends the log of all writes since the start or the last clear, one line "RESULT PATH VALUE" per write, in
 * order of completion. RESULT is "ok" or the errno's name, PATH begins with /sys/devices (no links), VALUE is
 * escaped. */
void fs_append_write_log(GString *text, bool clear);
