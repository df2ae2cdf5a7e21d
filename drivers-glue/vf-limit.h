/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The settings by which an administrator allows the driver of a GPU a number of VFs. If the setting allows no
 * VFs, the driver sets sriov_totalvfs to 0, as if the GPU had no SR-IOV. */

#include "base/hint.h"
#include "drivers-glue/io/io.h"

/* The setting that is 0, as a path below /sys; newly allocated; NULL: none.
 *
 *     kernel/config/xe/0000:03:00.0/sriov/max_vfs   of one GPU (xe, Linux 7); replaces the parameter
 *     module/i915/parameters/max_vfs                parameter max_vfs of the driver (xe; i915 with SR-IOV) */
char *vf_limit_find(VgpuIo *io, const char *driver, const char *gpu);

/* "driver i915 allows no VFs: its parameter max_vfs is 0", newly allocated, and the hint how to change it.
 * `limit`: from vf_limit_find(). `more`: more kernel parameters that VFs need, each after a blank; may be
 * "". */
char *vf_limit_explain(const char *driver, const char *gpu, const char *limit, const char *more,
                       VgpudHint *ret_hint);
