/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The scan of a GPU with mediated devices. */

#include "drivers-glue/driver.h"

/* The remedy for an instance without a driver. */
#define MDEV_NO_DRIVER_HINT     \
        VGPUD_HINT_LOAD_DRIVER, \
                        "load vfio_mdev (modprobe vfio_mdev), list it in /etc/modules-load.d, and create the instance again"

#define MDEV_DEVICE_API "vfio-pci" /* types of other device APIs are ignored */

/* VgpuDriver.scan. */
int mdev_scan(VgpuTarget *t, GpuSnapshot **ret, VgpudError *reterr);
/* VgpuDriver.find_instances. */
void mdev_find_instances(VgpuTarget *t, const char *parent, GpuSnapshot *s);

/* NULL: the GPU has no parent of this name. */
const MdevParent *mdev_find_parent(const GpuFacts *facts, const char *name);

/* True if a VM can use the instance: the instance has a driver, an IOMMU group or a VFIO character device.
 * Before Linux 5.16, it has none of these without the module vfio_mdev. */
bool mdev_is_usable(const InstanceDesc *d);

/* One instance, as the kernel shows it, without device_api. *ret is NULL if the folder is not a mediated
 * device. */
int mdev_read_instance(VgpuIo *io, const MdevParent *p, const char *uuid, InstanceDesc **ret);

/* True for a type of NVIDIA. These types have an option (nvidia/parse.h). */
bool mdev_type_is_nvidia(const char *type_id);
/* Set an option among the attributes of the instance. */
void mdev_set_option(InstanceDesc *d, const char *name, const char *value);

/* The last component of a link below the path; *ret stays NULL if there is no link. */
int mdev_read_optional_link(VgpuIo *io, const char *path, const char *name, char **ret);
