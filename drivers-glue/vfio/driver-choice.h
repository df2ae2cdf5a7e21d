/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Which driver of VFIO a PCI function is to be bound to: vfio-pci, or a variant of it that can do more with
 * this device (migration, say). Which device a variant is for is told by its module's aliases, "vfio_pci:"
 * before what else would be a modalias (Linux since 5.15: PCI_ID_F_VFIO_DRIVER_OVERRIDE). */

#include "drivers-glue/io/io.h"

/* The driver for the function at this path: of the modules that the aliases name for it the one that they fit
 * best and that is loaded; without that vfio-pci, when it is. NULL in *ret when none is loaded. *ret_better is
 * the module that would fit better but is not loaded; NULL: none; may be NULL itself. */
int vfio_find_driver(VgpuIo *io, const char *device_path, char **ret, char **ret_better);
