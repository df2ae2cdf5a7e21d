/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* PCI functions with SR-IOV for the in-memory kernel: sriov_numvfs and sriov_drivers_autoprobe, virtual
 * functions that come and go, drivers with bind and unbind, driver_override and drivers_probe, VFIO groups, and
 * what xe and i915 add; with the errno of Linux drivers/pci/iov.c, pci-driver.c and drivers/base/bus.c, dd.c.
 */

#include "drivers-glue/driver.h"
#include "io-fake.h"

/* The bus: drivers, and functions by name. One per kernel; freed with all that was added to it. */
typedef struct FakePci FakePci;
FakePci *fake_pci_new(FakeKernel *k);
FakePci *fake_pci_free(FakePci *pci);
/* A driver of that name is loaded, or not any more (what is bound to it must have been unbound). */
void fake_pci_add_driver(FakePci *pci, const char *name);
void fake_pci_remove_driver(FakePci *pci, const char *name);
/* Its probe answers that from now on; 0: it works. */
void fake_pci_fail_probe(FakePci *pci, const char *driver, int eno);

typedef enum FakePfModel {
        FAKE_PF_PLAIN, /* an accelerator of driver "accel", virtual functions are for "accelvf" */
        FAKE_PF_XE,    /* driver xe with sriov_admin/, 12 GB of graphics memory for virtual functions */
        FAKE_PF_I915,  /* Intel's i915 with iov/, two GTs */
} FakePfModel;

typedef struct FakePf FakePf;
/* The first virtual function is at address + offset. The driver of the model is loaded too. */
FakePf *fake_pci_add_pf(FakePci *pci, FakePfModel model, const char *address, unsigned total_vfs,
                        unsigned offset);
const char *fake_pf_path(FakePf *p);
GpuFacts *fake_pf_facts(FakePf *p);
/* As somebody else would: bind the physical function to another driver (NULL: none), which cannot enable
 * virtual functions unless it is the model's. */
void fake_pf_set_driver(FakePf *p, const char *driver);
/* The driver enables no more than that, and says nothing. */
void fake_pf_set_limit(FakePf *p, unsigned limit);
/* As echo N > sriov_numvfs; -errno. */
int fake_pf_enable(FakePf *p, unsigned n);
/* It goes, with its virtual functions. */
void fake_pf_unplug(FakePf *p);

/* Virtual functions made from now on have no IOMMU group, one for all of the physical function, a VFIO
 * character device (as with VFIO_DEVICE_CDEV), no group node (as without VFIO_GROUP). */
void fake_pf_set_iommu(FakePf *p, bool iommu, bool shared);
void fake_pf_set_nodes(FakePf *p, bool group_nodes, bool cdev);
/* They have no IOMMU group until a driver of VFIO is bound, which makes one (enable_unsafe_noiommu_mode). */
void fake_pf_set_noiommu(FakePf *p);

/* Of virtual function number n (from 0); must be enabled. */
const char *fake_vf_path(FakePf *p, unsigned n);
const char *fake_vf_name(FakePf *p, unsigned n);
const char *fake_vf_driver(FakePf *p, unsigned n);   /* NULL: none */
const char *fake_vf_override(FakePf *p, unsigned n); /* NULL: none */
int fake_vf_group(FakePf *p, unsigned n);            /* -1: none */
/* Whether one of those that are there is switched on: its file "enable" says so. */
bool fake_pf_has_active_vf(FakePf *p);
/* No driver's probe of it works from now on; 0: it works. */
void fake_vf_fail_probe(FakePf *p, unsigned n, int eno);
