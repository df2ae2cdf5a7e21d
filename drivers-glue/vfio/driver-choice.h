/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The choice of the VFIO driver for a PCI function: vfio-pci, or a variant of vfio-pci that can do more with
 * this device, such as migration. A variant names its devices in module aliases that begin with "vfio_pci:"
 * instead of "pci:" (since Linux 5.15: PCI_ID_F_VFIO_DRIVER_OVERRIDE). */

#include "drivers-glue/io/io.h"

/* Find the loaded driver that fits the function at this path best. A variant fits better than vfio-pci. *ret is
 * NULL if no driver is loaded. *ret_better (may be NULL) is a module that would fit better but is not loaded,
 * or NULL. */
int vfio_find_driver(VgpuIo *io, const char *device_path, char **ret, char **ret_better);
