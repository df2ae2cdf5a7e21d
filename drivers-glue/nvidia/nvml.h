/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Queries to NVIDIA's library through vgpud-nvml, and the modes of a GPU that only the library can set.
 *
 * A query starts a process that loads the library. This takes milliseconds while the driver stays loaded, but
 * may take seconds otherwise. Each scan makes one query, and only if /dev/nvidiactl exists, because the library
 * cannot reach the driver without that node and the sandbox of vgpud does not let the library create it. Scans
 * work without the library. */

#include "drivers-glue/driver.h"
#include "drivers-glue/nvidia/nvml-text.h"

/* NULL if the library is missing or does not answer; callers continue without it. */
NvmlAnswer *nvml_query(VgpuTarget *t);

/* Add the modes that the answer contains: "heterogeneous" and "mig", "yes" or "no". */
void nvml_add_modes(const NvmlAnswer *a, GpuSnapshot *s);

/* VgpuDriver.configure: set a mode and verify the result. */
int nvidia_configure(VgpuTarget *t, const char *mode, const char *value, VgpudError *reterr);

/* ---- users of the GPU ---- */

/* NVIDIA's driver refuses to reset a GPU, to unbind it, or to change its MIG mode while a process has a node of
 * the GPU open, or while the module nvidia_drm uses the GPU (github.com/NVIDIA/mig-parted, issue 181). */
bool nvidia_drm_is_loaded(VgpuTarget *t);

/* "process 1234 (Xorg) has /dev/dri/card1 open" or "module nvidia_drm uses the GPU", newly allocated; NULL:
 * unknown. `minor`: of /dev/nvidiaN; -1: unknown. */
char *nvidia_find_holder(VgpuTarget *t, int minor);
