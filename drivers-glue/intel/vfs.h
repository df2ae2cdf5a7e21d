/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* VFs of Intel GPUs: common to the drivers xe and i915. */

#include "base/error.h"

#define INTEL_LIMIT_HINT \
        "xe and i915 take the limit from their parameter max_vfs, and need the GPU's firmware GuC"

/* VfMethod.explain */
const char *intel_explain_vfs(int r, VgpudErrorCode *code);
