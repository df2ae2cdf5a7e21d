/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A device of VFIO: its group, its character device, and its users. The functions block. */

#include "base/error.h"
#include "drivers-glue/io/io.h"

/* Read the number of the IOMMU group of the device at this path; -1 if the device has none. */
int vfio_read_group(VgpuIo *io, const char *device_path, int *ret);

/* True for a group that VFIO created for a device without an IOMMU (parameter enable_unsafe_noiommu_mode of the
 * module vfio). A VM cannot use such a group. The name of the node is the only sign: in sysfs, groups of
 * mediated devices, which need no IOMMU, are named "vfio-noiommu" as well. */
bool vfio_group_is_noiommu(VgpuIo *io, int group);

/* True if the group has a node, or if that cannot be checked. A group without a VFIO device has no node. In
 * kernels without VFIO_GROUP, no group has a node. */
bool vfio_group_has_node(VgpuIo *io, int group);

/* Read the name of the VFIO character device ("vfio3"); NULL in *ret if there is none (kernels before 6.6 or
 * built without VFIO_DEVICE_CDEV). */
int vfio_read_cdev(VgpuIo *io, const char *device_path, char **ret);

/* Check that no process has the node ("vfio/12", "dri/renderD129") below /dev open. IN_USE names the process,
 * or says that not every process can be examined. */
int vfio_refuse_holder(VgpuIo *io, const char *node, VgpudError *reterr);

/* Lock all other programs out of the device by opening its group. While *ret_fd is open, no other program can
 * open the group, and a removal of the device does not block (only an open device blocks the removal: Linux
 * drivers/vfio/vfio_main.c, vfio_unregister_group_dev). IN_USE if a program has the device open (the message
 * names the process if visible), or if the check failed.
 *
 * *ret_fd is -EBADF if no lock is possible: the device has neither group nor cdev, or only a cdev (kernels
 * without VFIO_GROUP; opening a cdev locks no program out), or a group without an IOMMU (opening the group
 * needs CAP_SYS_RAWIO). The nodes are then only checked for users. *ret_fd is also -EBADF if the group has no
 * device any more. */
int vfio_keep_out(VgpuIo *io, int group, const char *cdev, int *ret_fd, VgpudError *reterr);
