/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* VFs of Intel's driver i915 with SR-IOV, which is not part of Linux. */

#include "drivers-glue/sriov-provider.h"

extern const VfProvider i915_provider;

/* While no virtual function is enabled: where a quota that vgpud wrote switched the automatic
 * provisioning of Intel's i915 off, it is switched on again. Any other GPU is left alone. */
void i915_restore_automatic(VgpuTarget *t);
/* FAILED when it is off and one of so many functions would be enabled with nothing to work with. */
int i915_refuse_empty(VgpuTarget *t, uint32_t count, VgpudError *reterr);
