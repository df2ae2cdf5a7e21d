/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* VFs of Intel's driver xe. */

#include "drivers-glue/sriov/provider.h"

extern const VfProvider xe_provider;
extern const VfProvider xe_plain_provider; /* kernels before 6.19 */
