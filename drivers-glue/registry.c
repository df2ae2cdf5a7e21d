/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The table of back ends, and the reasons why none of them serves a GPU. The reason depends on the bound driver
 * and the interfaces that it registered, never on a list of products. */

#include "drivers-glue/registry.h"

#include <string.h>

#include "drivers-glue/driver.h"
#include "drivers-glue/explain.h"
#include "drivers-glue/pci-ids.h"
#include "drivers-glue/vf/bind.h"
#include "drivers-glue/vf/count.h"
#include "drivers-glue/vf-limit.h"

static const VgpuDriver *const drivers[] = {
        &gim_legacy_driver, &mdev_driver, &nvidia_vfio_driver, &sriov_driver, &xengt_driver,
};

/* Reasons why no back end serves a GPU. Each function returns the reason, and sets the hint if it knows one. */

static char *registry_explain_no_driver(const GpuFacts *f, VgpudHint *ret_hint)
{
        const char *advice = "bind the vendor's host driver";

        switch (f->vendor) {
        case PCI_VENDOR_INTEL:
                advice = "load xe or i915 (and kvmgt, where the GPU has GVT-g)";
                break;
        case PCI_VENDOR_NVIDIA:
                advice = "install and load NVIDIA's host driver for vGPU (the vGPU manager)";
                break;
        case PCI_VENDOR_AMD:
                advice = "load gim, AMD's host driver for virtualization";
                break;
        default:
                break;
        }

        vgpud_hint_setf(ret_hint, VGPUD_HINT_LOAD_DRIVER, "%s", advice);

        return g_strdup("no driver is bound to the GPU");
}

static char *registry_explain_unread(const GpuFacts *f, VgpudHint *ret_hint)
{
        vgpud_hint_setf(ret_hint, VGPUD_HINT_SEE_KERNEL_LOG,
                        "look for messages of driver %s in the kernel log, then run vgpuctl rescan", f->driver);

        return g_strdup_printf("/sys/%s/sriov_totalvfs cannot be read: %s", f->path,
                               explain_read_error(f->total_vfs_error));
}

/* The VM that gets the whole GPU may use the VFs too, so vgpud does not touch them. */
static char *registry_explain_passed_through(const GpuFacts *f, VgpudHint *ret_hint)
{
        vgpud_hint_setf(ret_hint, VGPUD_HINT_LOAD_DRIVER, "to divide the GPU, bind its own driver again");

        return g_strdup_printf("the GPU is bound to %s, so it can only be passed through as a whole",
                               f->driver);
}

/* i915 with SR-IOV (out of tree) needs submission by the GuC for VFs; the i915 of Linux shows the
 * sriov_totalvfs of the hardware, but cannot enable VFs. */
#define REGISTRY_I915_GUC "i915.enable_guc=3"

static char *registry_explain_i915(const GpuFacts *f, VgpudHint *ret_hint)
{
        if (f->vf_limit)
                return vf_limit_explain(f->driver, f->name, f->vf_limit, " " REGISTRY_I915_GUC, ret_hint);

        if (f->has_sriov && f->total_vfs == 0) {
                vgpud_hint_setf(ret_hint, VGPUD_HINT_CONFIGURE_DRIVER,
                                "start the kernel with i915.max_vfs=N " REGISTRY_I915_GUC
                                ", where N is the number of VFs, and check that the GPU's firmware (GuC) is installed");

                return g_strdup("driver i915 allows no VFs: sriov_totalvfs is 0");
        }

        if (f->total_vfs > 0) {
                vgpud_hint_setf(ret_hint, VGPUD_HINT_LOAD_DRIVER,
                                "bind the GPU to xe (boot with xe.force_probe=ID i915.force_probe=!ID, where ID is its PCI device ID), or install Intel's i915 with SR-IOV and set its parameter max_vfs");

                return g_strdup_printf("the GPU supports %u VFs, but the i915 of Linux cannot enable them",
                                       f->total_vfs);
        }

        vgpud_hint_setf(ret_hint, VGPUD_HINT_LOAD_DRIVER,
                        "on Broadwell to Comet Lake, load kvmgt and boot with i915.enable_gvt=1 (without GuC submission); on later GPUs, check that SR-IOV is enabled in the firmware setup");

        return g_strdup("i915 has registered no mediated types, and the GPU has no SR-IOV");
}

void registry_hint_manager(const GpuFacts *f, bool has_manager, VgpudHint *ret_hint)
{
        bool has_display = f->class >> 8 == 0x0300;
        const char *display =
                        has_display ? "; a workstation GPU (such as RTX A5000, RTX A6000 or RTX 6000 Ada) has vGPUs only with its display outputs off: use NVIDIA's displaymodeselector"
                                    : "";

        if (!has_manager)
                vgpud_hint_setf(ret_hint, VGPUD_HINT_LOAD_DRIVER,
                                "load NVIDIA's host driver for vGPU (the vGPU manager) instead of the driver for graphics and compute, if the GPU supports vGPU%s",
                                display);
        else
                vgpud_hint_setf(ret_hint, has_display ? VGPUD_HINT_CONFIGURE_GPU : VGPUD_HINT_LOAD_DRIVER,
                                "check that the GPU supports vGPU and that nvidia-vgpud and nvidia-vgpu-mgr run (parts of NVIDIA's host driver for vGPU)%s",
                                display);
}

static char *registry_explain_nvidia(const GpuFacts *f, VgpudHint *ret_hint)
{
        bool has_manager = f->features & VGPU_FEATURE_NVIDIA_MANAGER;

        registry_hint_manager(f, has_manager, ret_hint);

        return g_strdup(has_manager ? "the vGPU manager has registered no vGPU types"
                                    : "no vGPU manager is loaded, and the driver has registered no vGPU types");
}

static char *registry_explain_xe(const GpuFacts *f, VgpudHint *ret_hint)
{
        if (f->vf_limit)
                return vf_limit_explain(f->driver, f->name, f->vf_limit, "", ret_hint);

        vgpud_hint_setf(ret_hint, VGPUD_HINT_ENABLE_SRIOV,
                        "check that SR-IOV is enabled in the firmware setup, that xe.max_vfs is not 0, and that the GPU's firmware (GuC) is installed");

        return g_strdup("xe divides GPUs by SR-IOV, and this GPU has none");
}

static char *registry_explain_other(const GpuFacts *f, VgpudHint *ret_hint)
{
        if (f->vf_limit)
                return vf_limit_explain(f->driver, f->name, f->vf_limit, "", ret_hint);

        if (f->has_sriov && f->total_vfs == 0) {
                vgpud_hint_setf(ret_hint, VGPUD_HINT_CONFIGURE_DRIVER,
                                "look for a parameter that sets the number of VFs: modinfo -p %s", f->driver);

                return g_strdup_printf("driver %s allows no VFs: sriov_totalvfs is 0", f->driver);
        }

        vgpud_hint_setf(ret_hint, VGPUD_HINT_LOAD_DRIVER,
                        "if the vendor has another driver for hosts of VMs, bind that driver");

        return g_strdup_printf("driver %s cannot divide the GPU: no mediated types, and %s", f->driver,
                               f->total_vfs > 0 ? "no support for enabling VFs" : "no SR-IOV");
}

#define REGISTRY_MANAGER_HINT VGPUD_HINT_LOAD_DRIVER, "install NVIDIA's host driver for vGPU (the vGPU manager)"
#define REGISTRY_BIND_GIM_HINT  \
        VGPUD_HINT_LOAD_DRIVER, \
                        "if the GPU supports virtualization, bind it to gim, AMD's host driver for virtualization"

static char *registry_explain_no_back_end(const GpuFacts *f, VgpudHint *ret_hint)
{
        /* GPUs of xe and gim with SR-IOV have a back end, so a GPU of these drivers has no SR-IOV here. */
        static const struct {
                const char *driver;
                char *(*explain)(const GpuFacts *f, VgpudHint *ret_hint); /* NULL: the texts of this row */
                const char *why;
                VgpudHintId hint_id;
                const char *hint;
        } table[] = {
                { "amdgpu", NULL, "amdgpu cannot divide a GPU", REGISTRY_BIND_GIM_HINT },
                { "gim", NULL, "gim divides GPUs by SR-IOV, and this GPU has none", VGPUD_HINT_ENABLE_SRIOV,
                  "check that SR-IOV is enabled in the firmware setup, and look for messages of gim in the kernel log" },
                { "i915", registry_explain_i915 },
                { "nouveau", NULL, "nouveau cannot divide a GPU", REGISTRY_MANAGER_HINT },
                { "nova-core", NULL, "nova-core cannot divide a GPU", REGISTRY_MANAGER_HINT },
                { "nvidia", registry_explain_nvidia },
                { "pci-stub", registry_explain_passed_through },
                { "pciback", registry_explain_passed_through },
                { "radeon", NULL, "radeon cannot divide a GPU", REGISTRY_BIND_GIM_HINT },
                { "xe", registry_explain_xe },
                { "xen-pciback", registry_explain_passed_through },
        };

        if (!f->driver && !f->is_pci)
                return g_strdup("the device has registered no mediated types; its driver may be going away");
        if (!f->driver)
                return registry_explain_no_driver(f, ret_hint);
        if (f->total_vfs_error < 0)
                return registry_explain_unread(f, ret_hint);

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                if (strcmp(table[i].driver, f->driver) != 0)
                        continue;
                if (table[i].explain)
                        return table[i].explain(f, ret_hint);

                vgpud_hint_setf(ret_hint, table[i].hint_id, "%s", table[i].hint);

                return g_strdup(table[i].why);
        }

        return vfs_driver_is_vfio(f->driver) ? registry_explain_passed_through(f, ret_hint)
                                             : registry_explain_other(f, ret_hint);
}

const VgpuDriver *registry_choose(const GpuFacts *facts, char **ret_reason, VgpudHint *ret_hint)
{
        const VgpuDriver *best = NULL;
        VgpuMatch best_score = VGPU_MATCH_NO;

        for (size_t i = 0; i < G_N_ELEMENTS(drivers); i++) {
                VgpuMatch score = drivers[i]->match(facts);

                if (score > best_score) {
                        best_score = score;
                        best = drivers[i];
                }
        }

        g_assert(!best || (best->name && best->scan && best->create && best->destroy && best->handover));
        vgpud_hint_done(ret_hint);

        if (ret_reason)
                *ret_reason = best ? NULL : registry_explain_no_back_end(facts, ret_hint);

        return best;
}
