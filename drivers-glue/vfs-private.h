/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Shared by vfs.c, vfs-bind.c and back ends that refuse what would disturb all functions of a GPU. */

#include <stdbool.h>

#include "drivers-glue/vfs.h"

/* Whom we keep out: file descriptors of VFIO groups, each opened once, for functions may share one. Freeing the
 * array lets everybody in again. */
GArray *vfs_kept_new(void);
/* Keep everybody out of the device at this path. IN_USE when somebody has it open, or nobody can tell. Programs
 * that use it by a driver of the host (DRM, accel) are looked for, but cannot be kept out. */
int vfs_keep_out(VgpuIo *io, const char *path, GArray *kept, VgpudError *reterr);

/* IN_USE while somebody uses the function by the driver that it is bound to; everybody is kept out until `kept`
 * is freed. */
int vfs_refuse_use(VgpuIo *io, const VgpuVf *vf, const char *driver, GArray *kept, VgpudError *reterr);

/* IN_USE while a function of the GPU carries an instance, is handed out, reserved or in use, naming which,
 * and the holder where there is one; `fate` is what would become of all of them ("go"). Everybody is kept out
 * of the others, until `kept` is freed. */
int vfs_refuse_loads(VgpuTarget *t, const char *fate, GArray *kept, VgpudError *reterr);
