/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* GPUs for the in-memory kernel. Each one behaves like its driver: the files in sysfs, the available
 * instances, the effects of create and remove, and their errnos. */

#include "drivers-glue/driver.h"
#include "io-fake.h"

typedef struct FakeGpu FakeGpu;

/* Intel GVT-g: 384 MB of low and 1536 MB of high graphics memory and 28 fences for guests, types
 * i915-GVTg_V5_{1,2,4,8} (Linux drivers/gpu/drm/i915/gvt/vgpu.c). */
FakeGpu *fake_add_gvt_g(FakeKernel *k, const char *address);
/* NVIDIA A2: 16 GB, mediated types on n_vfs virtual functions at address + 4 and up; all instances have the
 * same size. */
FakeGpu *fake_add_nvidia_a2(FakeKernel *k, const char *address, unsigned n_vfs);
/* The kernel's sample drivers: mdpy, whose types share a budget of 4 (EUSERS if the budget is used up), and
 * mtty with 24 ports. */
FakeGpu *fake_add_mdpy(FakeKernel *k);
FakeGpu *fake_add_mtty(FakeKernel *k);
/* A GPU like the A2 with n_vfs VFs and n_types types on each VF, for counting operations. */
FakeGpu *fake_add_large(FakeKernel *k, const char *address, unsigned n_vfs, unsigned n_types);
FakeGpu *fake_gpu_free(FakeGpu *g);

/* Facts as gpu_facts_read() finds them. */
GpuFacts *fake_gpu_facts(FakeGpu *g);
/* New instances get a VFIO character device too, as on kernels with VFIO_DEVICE_CDEV. */
void fake_gpu_set_cdev(FakeGpu *g, bool cdev);
/* New instances get no group node, as on kernels without VFIO_GROUP. */
void fake_gpu_set_group_nodes(FakeGpu *g, bool group_nodes);
/* New instances get no driver, as on Linux before 5.16 without vfio_mdev. */
void fake_gpu_set_driverless(FakeGpu *g, bool driverless);
/* Path of the parent number n. */
const char *fake_gpu_parent_path(FakeGpu *g, unsigned n);
/* Unload the driver: instances, types and parents disappear. */
void fake_gpu_unload(FakeGpu *g);
