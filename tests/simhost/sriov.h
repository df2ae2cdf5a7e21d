/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * SR-IOV as drivers/pci/iov.c does it: the files of the physical function, and virtual functions that come and
 * go, with the checks, errno and events of the kernel in the kernel's order.
 */

#include "simhost/gpu.h"

/* All with the tree's lock, which they may let go, and the device lock of the physical function. */
void sriov_add_files(Gpu *gpu);
/* pci_enable_sriov(), from the driver: makes so many virtual functions where there are none. All or nothing. */
int sriov_enable(Gpu *gpu, unsigned count);
/* pci_disable_sriov(): waits while one of them is open. */
void sriov_disable(Gpu *gpu);
/* The same in the order in which an unplugged device loses them. */
void sriov_unplug(Gpu *gpu);

/* Without any lock: the driver itself changes the number, whether or not it has sriov_configure; what NVIDIA's
 * sriov-manage has it do. Through 0 where there are others. 0, -ENODEV (no such GPU, or its driver is not
 * bound), -ERANGE, or what GpuOps.vfs_enable says. */
int sriov_set_vfs(const char *address, unsigned count);
