/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Virtual functions of PCI (Linux Documentation/PCI/pci-iov-howto.rst,
 * Documentation/ABI/testing/sysfs-bus-pci): how many a GPU has, and which driver each is bound to. What back
 * ends whose instances are virtual functions, or live on them, share. Everything blocks, and is called in the
 * lane of the GPU. */

#include <stdint.h>

#include "base/error.h"
#include "drivers-glue/driver.h"

/* VgpuDriver.set_vfs of every back end that has virtual functions. By what is there it writes sriov_numvfs, or
 * has NVIDIA's sriov-manage run (nvidia_run_sriov_manage()), or says that they are fixed when the driver is
 * loaded (AMD's gim). What it returns was looked up afterwards. */
int vfs_set(VgpuTarget *t, uint32_t count, uint32_t *ret, VgpudError *reterr);

/* The kernel driver that the function at this path is bound to; NULL in *ret when there is none. */
int vfs_read_driver(VgpuIo *io, const char *path, char **ret);
/* Its driver_override; NULL in *ret when none is set. */
int vfs_read_override(VgpuIo *io, const char *path, char **ret);
/* True for a driver that hands a PCI function to user space by VFIO: vfio-pci and its variants ("xe-vfio-pci",
 * "nvgrace_gpu_vfio_pci"). */
bool vfs_driver_is_vfio(const char *driver);

/* True for a driver that keeps a function from all others on somebody's behalf: "pci-stub", and Xen's, which
 * gives it to a guest. */
bool vfs_driver_is_stub(const char *driver);
bool vfs_driver_is_xen(const char *driver);

/* Of a function that has such a driver, or a driver_override, in words: "is reserved (…)" and how it is given
 * up.
 */
char *vfs_explain_reserved(const char *driver, const char *override);
char *vfs_advise_reserved(const VgpuVf *vf, const char *driver, const char *override);

/* True for a function that shows no driver, but is still VFIO's: the kernel takes the link away first, and then
 * waits for who has the function open, to unbind or to remove it. Linux 6.1 lets nobody read driver_override
 * for as long as that takes; newer kernels, which do, leave no trace of it but the group that is held. */
bool vfs_is_leaving(VgpuIo *io, const char *path);

/* Bind the function to this driver by its driver_override, or, with driver NULL, leave it without one; what it
 * is bound to is unbound first, with everybody kept out (vfio_keep_out()). Done is what the link `driver` says,
 * not what write(2) said. `override`: what driver_override is to say when all is done, NULL for nothing.
 * Errors: IN_USE, UNSUPPORTED (there is no such driver: its module is not loaded), GPU_GONE, FAILED. */
int vfs_bind(VgpuIo *io, const VgpuVf *vf, const char *driver, const char *override, VgpudError *reterr);

/* sriov-i915.c, while no virtual function is enabled: where a quota that vgpud wrote switched the automatic
 * provisioning of Intel's i915 off, it is switched on again. Any other GPU is left alone. */
void i915_restore_automatic(VgpuTarget *t);
/* FAILED when it is off and one of so many functions would be enabled with nothing to work with. */
int i915_refuse_empty(VgpuTarget *t, uint32_t count, VgpudError *reterr);

/* nvidia-sriov.c: have /usr/lib/nvidia/sriov-manage -e or -d run for the GPU, in the unit vgpud-sriov@.service,
 * and wait a moment (10 s at most) for the vGPU manager to take the new functions. Says only whether it was
 * run; what came of it is for the caller to look up. Errors: UNSUPPORTED (it is not installed), FAILED (with
 * what the unit left in the journal, if it can be had). */
int nvidia_run_sriov_manage(VgpuTarget *t, bool enable, VgpudError *reterr);
