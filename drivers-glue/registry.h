/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The table of back ends, and the choice of one for a GPU. */

#include "base/hint.h"
#include "drivers-glue/driver.h"

/* A back end exports nothing but its vector, and so has no header. */
extern const VgpuDriver gim_legacy_driver;  /* amd/gim-legacy.c */
extern const VgpuDriver mdev_driver;        /* mdev/mdev.c */
extern const VgpuDriver nvidia_vfio_driver; /* nvidia/vfio.c */
extern const VgpuDriver sriov_driver;       /* sriov/sriov.c */
extern const VgpuDriver xengt_driver;       /* intel/xengt.c */

/* The back end for these facts; NULL if none fits. *ret_reason (owned by the caller) then says why, and
 * *ret_hint which driver or setting would help. Both pointers may be NULL; without ret_reason, the hint stays
 * empty. If a back end fits, both results are emptied. */
const VgpuDriver *registry_choose(const GpuFacts *facts, char **ret_reason, VgpudHint *ret_hint);

/* The hint for an NVIDIA GPU without vGPU types: load the vGPU manager, or check it if it is loaded; for a GPU
 * with display outputs, also how to turn them off. */
void registry_hint_manager(const GpuFacts *f, bool has_manager, VgpudHint *ret_hint);
