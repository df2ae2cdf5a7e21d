/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The back ends, and the choice of one for a GPU. */

#include "drivers-glue/driver.h"

/* A back end has no header of its own: its vector is all that it exports. */
extern const VgpuDriver gim_legacy_driver;  /* gim-legacy.c */
extern const VgpuDriver mdev_driver;        /* mdev.c */
extern const VgpuDriver nvidia_vfio_driver; /* nvidia-vfio.c */
extern const VgpuDriver sriov_driver;       /* sriov.c */
extern const VgpuDriver xengt_driver;       /* xengt.c */

/* The back end for these facts. NULL when there is none: then *ret_reason, owned by the caller, says why, and
 * how to get one. */
const VgpuDriver *registry_choose(const GpuFacts *facts, char **ret_reason);
