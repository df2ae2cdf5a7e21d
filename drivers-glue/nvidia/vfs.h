/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The method that changes the number of VFs of an NVIDIA GPU. */

#include "drivers-glue/vf/count.h"

extern const VfMethod nvidia_vf_method;

/* The method for a GPU that may be from any vendor; NULL if it is from another one. */
const VfMethod *nvidia_vf_method_for(const GpuFacts *facts);
