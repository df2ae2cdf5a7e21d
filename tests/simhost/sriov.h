/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * SR-IOV as in drivers/pci/iov.c: the files of the physical function, and the creation and removal of virtual
 * functions, with the kernel's checks, errno and order of events.
 */

#include "simhost/gpu.h"

/* Callers hold the tree's lock, which may be released meanwhile, and the device lock of the physical
 * function. */
void sriov_add_files(Gpu *gpu);
/* pci_enable_sriov(), called by the driver: makes COUNT virtual functions, all or none. There must be none
 * before. */
int sriov_enable(Gpu *gpu, unsigned count);
/* pci_disable_sriov(): waits while a VF is open. */
void sriov_disable(Gpu *gpu);
/* Disables the virtual functions in the order of a device's unplugging. */
void sriov_unplug(Gpu *gpu);

/* Sets the number of virtual functions as NVIDIA's sriov-manage has the driver do, with or without
 * sriov_configure, through 0 if there are others. Call without any lock. Returns 0, -ENODEV (no such GPU, or
 * its driver is not bound), -ERANGE, or the result of GpuOps.vfs_enable. */
int sriov_set_vfs(const char *address, unsigned count);
