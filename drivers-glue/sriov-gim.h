/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* GPUs of AMD's driver gim. */

#include "drivers-glue/sriov-provider.h"

extern const VfProvider gim_provider;
