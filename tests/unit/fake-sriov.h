/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* PCI functions with SR-IOV for the in-memory kernel: sriov_numvfs and sriov_drivers_autoprobe, VFs that come
 * and go, drivers with bind and unbind, driver_override and drivers_probe, VFIO groups, and the files of xe and
 * i915. The errnos are those of Linux drivers/pci/iov.c, pci-driver.c and drivers/base/bus.c, dd.c. */

#include "drivers-glue/driver.h"
#include "io-fake.h"

/* The bus: drivers, and functions by name. One per kernel; owns everything on the bus. */
typedef struct FakePci FakePci;
FakePci *fake_pci_new(FakeKernel *k);
FakePci *fake_pci_free(FakePci *pci);
/* Load or unload a driver of this name. Functions must be unbound before the driver is unloaded. */
void fake_pci_add_driver(FakePci *pci, const char *name);
void fake_pci_remove_driver(FakePci *pci, const char *name);
/* The probe fails with this errno from now on; 0: succeeds. */
void fake_pci_fail_probe(FakePci *pci, const char *driver, int eno);

typedef enum FakePfModel {
        FAKE_PF_PLAIN, /* an accelerator of driver "accel"; the VFs have driver "accelvf" */
        FAKE_PF_XE,    /* driver xe with sriov_admin/, 12 GB of graphics memory for VFs */
        FAKE_PF_I915,  /* Intel's i915 with iov/, two GTs */
} FakePfModel;

typedef struct FakePf FakePf;
/* The first VF is at address + offset. The driver of the model is loaded as well. */
FakePf *fake_pci_add_pf(FakePci *pci, FakePfModel model, const char *address, unsigned total_vfs,
                        unsigned offset);
const char *fake_pf_path(FakePf *p);
GpuFacts *fake_pf_facts(FakePf *p);
/* Another program binds the PF to a driver (NULL: none). Only the driver of the model can enable VFs. */
void fake_pf_set_driver(FakePf *p, const char *driver);
/* The driver enables at most this number of VFs, and reports no error if more are requested. */
void fake_pf_set_limit(FakePf *p, unsigned limit);
/* Write `n` to sriov_numvfs. Returns a negative errno if the kernel refuses. */
int fake_pf_enable(FakePf *p, unsigned n);
/* Remove the PF and all VFs. */
void fake_pf_unplug(FakePf *p);

/* VFs that are enabled later have an IOMMU group if `iommu` is true, and all share one group if `shared` is
 * true. */
void fake_pf_set_iommu(FakePf *p, bool iommu, bool shared);
/* VFs that are bound to VFIO later have a group node if `group_nodes` is true (as with VFIO_GROUP), and a
 * character device if `cdev` is true (as with VFIO_DEVICE_CDEV). */
void fake_pf_set_nodes(FakePf *p, bool group_nodes, bool cdev);
/* VFs have no IOMMU group until a VFIO driver, once bound, creates one (enable_unsafe_noiommu_mode). */
void fake_pf_set_noiommu(FakePf *p);

/* VF n (from 0) must be enabled. */
const char *fake_vf_path(FakePf *p, unsigned n);
const char *fake_vf_name(FakePf *p, unsigned n);
const char *fake_vf_driver(FakePf *p, unsigned n);   /* NULL: none */
const char *fake_vf_override(FakePf *p, unsigned n); /* NULL: none */
int fake_vf_group(FakePf *p, unsigned n);            /* -1: none */
/* True if the enable count of any VF is above 0: the file "enable" shows it. */
bool fake_pf_has_active_vf(FakePf *p);
/* Every probe of the VF fails with this errno from now on; 0: succeeds. */
void fake_vf_fail_probe(FakePf *p, unsigned n, int eno);
