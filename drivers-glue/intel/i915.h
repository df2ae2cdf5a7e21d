/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* VFs of Intel's driver i915. */

#include "drivers-glue/sriov/provider.h"

extern const VfMethod i915_vf_method;
extern const VfProvider i915_provider;       /* Intel's i915 with SR-IOV, which is not part of Linux */
extern const VfProvider i915_plain_provider; /* i915 as it is in Linux */
