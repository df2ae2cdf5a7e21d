/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* GPUs of AMD's driver gim. */

#include "drivers-glue/sriov/provider.h"

extern const VfMethod gim_vf_method;
extern const VfProvider gim_provider;       /* GPUs with partitioning modes */
extern const VfProvider gim_plain_provider; /* GPUs without modes */
