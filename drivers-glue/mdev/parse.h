/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The text formats of `description` files of mediated types. Unknown keys, missing keys and other texts are
 * ignored: members without a value stay 0.
 *
 * GVT-g (Linux drivers/gpu/drm/i915/gvt/kvmgt.c), five lines "low_gm_size: 128MB", "high_gm_size: 512MB",
 * "fence: 4", "resolution: 1920x1200", "weight: 4" (older kernels lack some of them).
 * NVIDIA, one line "num_heads=4, frl_config=60, framebuffer=4096M, max_resolution=7680x4320, max_instance=4".
 * Samples: "virtual display, 640x480 framebuffer", "virtual display, 4 MB video memory". */

#include "drivers-glue/snapshot.h"

void mdev_parse_description(const char *text, VgpuType *t);
