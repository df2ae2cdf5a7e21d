/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The method that changes the number of VFs of an NVIDIA GPU. */

#include "drivers-glue/vf/count.h"

extern const VfMethod nvidia_vf_method;

/* nvidia_vf_method for a GPU of NVIDIA, NULL for a GPU of another vendor. */
const VfMethod *nvidia_vf_method_for(const GpuFacts *facts);
