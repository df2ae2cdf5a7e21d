/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The kernel driver of a VF: read it, change it, and lock out other users of the VF meanwhile. The
 * functions block; call them in the lane of the GPU. */

#include <stdbool.h>

#include "base/error.h"
#include "drivers-glue/facts.h"
#include "drivers-glue/io/io.h"

/* The kernel driver bound to the PCI function at this path; *ret is NULL if there is none. */
int vfs_read_driver(VgpuIo *io, const char *path, char **ret);
/* The driver_override of the PCI function at this path; *ret is NULL if none is set. */
int vfs_read_override(VgpuIo *io, const char *path, char **ret);

/* True for vfio-pci and its variants ("foo-vfio-pci", "foo_vfio_pci"), which hand a PCI function to user space.
 */
bool vfs_driver_is_vfio(const char *driver);
/* True for a driver that only reserves a PCI function: pci-stub, or Xen's pciback, which gives the function to
 * a guest of Xen. vfs_driver_is_xen() is true for pciback alone. */
bool vfs_driver_is_stub(const char *driver);
bool vfs_driver_is_xen(const char *driver);

/* The reason why a VF with a stub driver or a driver_override is reserved, as a predicate ("is reserved …"),
 * and the hint that says how to end the reservation. */
char *vfs_explain_reserved(const char *driver, const char *override);
void vfs_hint_reserved(const VgpuVf *vf, const char *driver, const char *override, VgpudHint *ret);

/* True for a VF that VFIO is about to release: the kernel removes the link to the driver, then waits until the
 * last user closes the VF. Until then the group stays open, and Linux 6.1 also blocks readers of
 * driver_override. */
bool vfs_is_leaving(VgpuIo *io, const char *path);

/* True if a PCI driver of this name is loaded. */
bool vfs_driver_exists(VgpuIo *io, const char *driver);

/* Bind the VF to this driver by driver_override; with driver NULL, unbind the VF. An old driver is unbound
 * first, with the users locked out as far as possible (vfs_keep_out()). The link `driver` decides about
 * success, not the result of write(2). `override` is the driver_override to leave behind, NULL for none.
 * Errors: IN_USE, UNSUPPORTED (the module of the driver is not loaded), GPU_GONE, FAILED. */
int vfs_bind(VgpuIo *io, const VgpuVf *vf, const char *driver, const char *override, VgpudError *reterr);
/* vfs_bind() for a VF that the caller found bound to `from` (NULL: to no driver). FAILED, and no change, if
 * another program has bound it to another driver since. */
int vfs_bind_from(VgpuIo *io, const VgpuVf *vf, const char *from, const char *driver, const char *override,
                  VgpudError *reterr);

/* File descriptors of VFIO groups, each opened once because VFs may share a group. As long as the array lives,
 * no other program can open these groups. */
GArray *vfs_held_groups_new(void);
/* Lock all other users out of the device at this path. IN_USE if a program has the device open, or if the check
 * for users failed. Programs that use the device through a driver of the host (DRM, accel) are detected, but
 * cannot be locked out. */
int vfs_keep_out(VgpuIo *io, const char *path, GArray *held, VgpudError *reterr);
/* vfs_keep_out() for a VF bound to a driver; the message names the VF and the driver. */
int vfs_refuse_use(VgpuIo *io, const VgpuVf *vf, const char *driver, GArray *held, VgpudError *reterr);
