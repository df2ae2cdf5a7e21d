/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Shared by vfs.c and vfs-bind.c. */

#include <stdbool.h>

#include "drivers-glue/vfs.h"

/* Whom we keep out: file descriptors of VFIO groups, each opened once, for functions may share one. Freeing the
 * array lets everybody in again. */
GArray *vfs_kept_new(void);
/* Keep everybody out of the device at this path. IN_USE when somebody has it open, or nobody can tell. */
int vfs_keep_out(VgpuIo *io, const char *path, GArray *kept, VgpudError *reterr);
