/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What VFIO says about a device: its group, its character device, whether somebody uses it. */

#include "base/error.h"
#include "drivers-glue/io/io.h"

/* Number of the IOMMU group of the device at this path; -1 in *ret when it has none. */
int vfio_read_group(VgpuIo *io, const char *device_path, int *ret);

/* True for a group that VFIO has made itself for a device without an IOMMU (its parameter
 * enable_unsafe_noiommu_mode), which is no use to a virtual machine. It is told by its node: its name says the
 * same of mediated devices, which need no IOMMU. */
bool vfio_group_is_noiommu(VgpuIo *io, int group);

/* Whether there may be a node by which the group can be opened; there is none without a VFIO device in it, or
 * in kernels without VFIO_GROUP. */
bool vfio_group_has_node(VgpuIo *io, int group);

/* Name of the VFIO character device ("vfio3"); NULL in *ret when there is no cdev (it has no `dev` attribute
 * then, kernels below 6.6 or built without VFIO_DEVICE_CDEV). */
int vfio_read_cdev(VgpuIo *io, const char *device_path, char **ret);

/* Check that no process has the node ("vfio/12", "dri/renderD129") below /dev open: 0, or IN_USE, which names
 * the process, or says that not every process can be examined. */
int vfio_refuse_holder(VgpuIo *io, const char *node, VgpudError *reterr);

/* Keep everybody out: a file descriptor of the group, or of nothing (-EBADF in *ret_fd) when the device has
 * neither group nor cdev, or only a cdev (kernels without VFIO_GROUP): opening that keeps nobody out, so it is
 * only tested; so is a group without an IOMMU, which takes CAP_SYS_RAWIO to open. IN_USE when somebody holds
 * it, naming the process if it can be seen, or when nobody can tell. While the descriptor is open nobody else
 * can open the group, and removing the device does not block (only an open device makes it block: Linux
 * drivers/vfio/vfio_main.c, vfio_unregister_group_dev). */
int vfio_keep_out(VgpuIo *io, int group, const char *cdev, int *ret_fd, VgpudError *reterr);
