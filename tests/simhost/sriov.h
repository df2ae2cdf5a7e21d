/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * SR-IOV as in drivers/pci/iov.c: the files of the physical function, and the creation and removal of virtual
 * functions, with the kernel's checks, errno and order of events.
 */

#include "simhost/gpu.h"

/* Callers of the functions up to sriov_unplug() hold the tree's lock, which may be released meanwhile, and the
 * device lock of the physical function. */
void sriov_add_files(Gpu *gpu);
/* pci_enable_sriov(), called by the driver: makes COUNT virtual functions, all or none. There must be none
 * before. */
int sriov_enable(Gpu *gpu, unsigned count);
/* pci_disable_sriov(): waits while a VF is open. */
void sriov_disable(Gpu *gpu);
/* Disables the virtual functions in the order of a device's unplugging. */
void sriov_unplug(Gpu *gpu);

/* Sets the number of virtual functions as a driver does by itself. The driver needs no sriov_configure.
 * Disables the present VFs first. Call without any lock. Returns 0, -ENODEV (no such GPU, or its driver is not
 * bound), -ERANGE, or the errno of GpuOps.vfs_enable. */
int sriov_set_vfs(const char *address, unsigned count);
