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
 * *ret_hint which driver or setting would help. Both may be NULL and are emptied if a back end fits. */
const VgpuDriver *registry_choose(const GpuFacts *facts, char **ret_reason, VgpudHint *ret_hint);

/* Hints for NVIDIA's GPUs without vGPU types; %s: registry_advise_display(). */
#define REGISTRY_LOAD_MANAGER \
        "load NVIDIA's host driver for vGPU (the vGPU manager) instead of the driver for graphics and compute, if the GPU supports vGPU%s"
#define REGISTRY_CHECK_MANAGER \
        "check that the GPU supports vGPU and that nvidia-vgpud and nvidia-vgpu-mgr run (parts of NVIDIA's host driver for vGPU)%s"

/* More advice if the GPU has display outputs (class 0x030000); else "". */
static inline const char *registry_advise_display(const GpuFacts *f)
{
        return f->class >> 8 == 0x0300
                               ? "; a workstation GPU (such as RTX A5000, RTX A6000 or RTX 6000 Ada) has vGPUs only with its display outputs off: use NVIDIA's displaymodeselector"
                               : "";
}
