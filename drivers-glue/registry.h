/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The back ends, and the choice of one for a GPU. */

#include "base/hint.h"
#include "drivers-glue/driver.h"

/* A back end has no header of its own: its vector is all that it exports. */
extern const VgpuDriver gim_legacy_driver;  /* gim-legacy.c */
extern const VgpuDriver mdev_driver;        /* mdev.c */
extern const VgpuDriver nvidia_vfio_driver; /* nvidia-vfio.c */
extern const VgpuDriver sriov_driver;       /* sriov.c */
extern const VgpuDriver xengt_driver;       /* xengt.c */

/* The back end for these facts. NULL: there is none, for the reason *ret_reason, owned by the caller; *ret_hint
 * says how to get one. Both are replaced in either case, and may be NULL. */
const VgpuDriver *registry_choose(const GpuFacts *facts, char **ret_reason, VgpudHint *ret_hint);
