/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What vgpud-nvml prints, and how it is read back. The protocol is described in vgpud-nvml.c. */

#include <stdbool.h>
#include <stdint.h>

#define VGPUD_NVML_NO_LIBRARY 200 /* exit status: libnvidia-ml.so.1 is not there */
#define NVML_TYPES_MAX        512 /* of one GPU; there are some 40 */
