/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* VFs of Intel GPUs: common to the drivers xe and i915. */

#include "drivers-glue/explain.h"

#define INTEL_LIMIT_HINT \
        "xe and i915 take the limit from their parameter max_vfs, and need the GPU's firmware GuC"

/* VfMethod.refusals */
extern const Refusal intel_vf_refusals[];
