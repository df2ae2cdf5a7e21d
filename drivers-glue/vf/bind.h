/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The kernel driver of a VF: reading it, changing it, and locking out every other user of the VF meanwhile. All
 * of this blocks, and is called in the lane of the GPU. */

#include <stdbool.h>

#include "base/error.h"
#include "drivers-glue/facts.h"
#include "drivers-glue/io/io.h"

/* The kernel driver bound to the PCI function at this path; *ret is NULL if there is none. */
int vfs_read_driver(VgpuIo *io, const char *path, char **ret);
/* The driver_override of the PCI function at this path; *ret is NULL if none is set. */
int vfs_read_override(VgpuIo *io, const char *path, char **ret);

/* True for vfio-pci and its variants ("xe-vfio-pci", "nvgrace_gpu_vfio_pci"), which hand a PCI function to user
 * space. */
bool vfs_driver_is_vfio(const char *driver);
/* True for a driver that reserves a PCI function: pci-stub and Xen's pciback, which gives the function to a
 * guest. */
bool vfs_driver_is_stub(const char *driver);
bool vfs_driver_is_xen(const char *driver);

/* A VF with such a driver or with a driver_override, in words: "is reserved (…)", and how to end that. */
char *vfs_explain_reserved(const char *driver, const char *override);
char *vfs_advise_reserved(const VgpuVf *vf, const char *driver, const char *override);

/* True for a VF without a driver that VFIO has not let go: the kernel removes the link first and then waits
 * until the last user closes the VF. Linux 6.1 blocks readers of driver_override meanwhile; newer kernels show
 * only that the group is held. */
bool vfs_is_leaving(VgpuIo *io, const char *path);

/* Bind the VF to this driver by its driver_override; with driver NULL, unbind it. An old driver is unbound
 * first, with all users locked out (vfio_keep_out()). The link `driver` decides whether it worked, not the
 * result of write(2). `override` is the driver_override to leave behind, NULL for none.
 * Errors: IN_USE, UNSUPPORTED (the module of the driver is not loaded), GPU_GONE, FAILED. */
int vfs_bind(VgpuIo *io, const VgpuVf *vf, const char *driver, const char *override, VgpudError *reterr);

/* File descriptors of VFIO groups, each opened once because VFs may share one. As long as the array lives, no
 * other program can open these groups. */
GArray *vfs_kept_new(void);
/* Lock all other users out of the device at this path. IN_USE if a program has the device open, or if that
 * cannot be told. Users by a driver of the host (DRM, accel) are detected, but cannot be locked out. */
int vfs_keep_out(VgpuIo *io, const char *path, GArray *kept, VgpudError *reterr);
/* The same for a VF bound to a driver, with a message that names both. */
int vfs_refuse_use(VgpuIo *io, const VgpuVf *vf, const char *driver, GArray *kept, VgpudError *reterr);
