/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The table of back ends, and the words for a GPU that none of them can divide. Which words, depends on the
 * bound driver and on what it has registered, never on a list of products. */

#include "drivers-glue/registry.h"

#include <string.h>

#include "drivers-glue/driver.h"
#include "drivers-glue/pci-ids.h"
#include "drivers-glue/vf/bind.h"
#include "drivers-glue/vf/count.h"

static const VgpuDriver *const drivers[] = {
        &gim_legacy_driver, &mdev_driver, &nvidia_vfio_driver, &sriov_driver, &xengt_driver,
};

static char *explain_no_driver(const GpuFacts *f)
{
        const char *advice = "bind the vendor's host driver";

        switch (f->vendor) {
        case PCI_VENDOR_INTEL:
                advice = "load xe or i915 (and kvmgt, where the GPU has GVT-g)";
                break;
        case PCI_VENDOR_NVIDIA:
                advice = "install NVIDIA's host driver for vGPU (the vGPU manager) and load it";
                break;
        case PCI_VENDOR_AMD:
                advice = "load gim, AMD's host driver for virtualization";
                break;
        default:
                break;
        }
        return g_strdup_printf("no driver is bound to it, and only a driver can divide it; %s", advice);
}

/* Whoever has it may be using it, so its virtual functions, too, are left alone. */
static char *explain_passed_through(const GpuFacts *f)
{
        return g_strdup_printf("it is bound to %s, so it can only be passed through whole%s; "
                               "to divide it, bind its own driver again",
                               f->driver, f->total_vfs > 0 ? " and its virtual functions are left alone" : "");
}

static char *explain_i915(const GpuFacts *f)
{
        if (f->total_vfs > 0)
                return g_strdup_printf("it can have %u virtual functions, but i915 as it is in Linux cannot "
                                       "enable them; bind the GPU to xe (xe.force_probe= and "
                                       "i915.force_probe=!, with its device ID) or install Intel's i915 with "
                                       "SR-IOV, with its parameter max_vfs set",
                                       f->total_vfs);
        return g_strdup("i915 has registered no mediated types, and the GPU shows no SR-IOV; "
                        "on Broadwell to Comet Lake, load kvmgt and boot with i915.enable_gvt=1 (without "
                        "GuC submission); on newer ones, see whether the firmware setup has SR-IOV switched "
                        "off");
}

/* With SR-IOV it has a back end. */
static char *explain_xe(const GpuFacts *f)
{
        return g_strdup("xe divides GPUs by SR-IOV, and this one shows none; where the hardware has it, it is "
                        "switched off in the firmware setup, or by the parameter xe.max_vfs, or the GPU's "
                        "firmware (GuC) is missing");
}

/* With SR-IOV it has a back end. */
static char *explain_nvidia(const GpuFacts *f)
{
        return g_strdup("its driver has registered no types of vGPU; that takes NVIDIA's host driver for "
                        "vGPU (the vGPU manager), which the driver for graphics and compute is not, with "
                        "the services nvidia-vgpud and nvidia-vgpu-mgr, and a GPU that it supports");
}

static char *explain_nouveau(const GpuFacts *f)
{
        return g_strdup_printf("%s cannot divide a GPU; install NVIDIA's host driver for vGPU (the vGPU "
                               "manager) instead",
                               f->driver);
}

static char *explain_amdgpu(const GpuFacts *f)
{
        return g_strdup_printf("%s cannot divide a GPU; where the hardware can be divided, gim does it, AMD's "
                               "host driver for virtualization: bind that instead",
                               f->driver);
}

/* With SR-IOV it has a back end. */
static char *explain_gim(const GpuFacts *f)
{
        return g_strdup("gim divides GPUs by SR-IOV, and this one shows none; it may be switched off in the "
                        "firmware setup, or not be there: the kernel's log has what gim found");
}

static char *explain_other(const GpuFacts *f)
{
        return g_strdup_printf(
                        "its driver %s cannot divide it: it has registered no mediated types, and %s; if "
                        "the vendor has another driver for hosts of virtual machines, bind that",
                        f->driver,
                        f->total_vfs > 0 ? "does not make its virtual functions" : "there is no SR-IOV");
}

static char *explain_no_back_end(const GpuFacts *f)
{
        static const struct {
                const char *driver;
                char *(*explain)(const GpuFacts *f);
        } table[] = {
                { "amdgpu", explain_amdgpu },
                { "gim", explain_gim },
                { "i915", explain_i915 },
                { "nouveau", explain_nouveau },
                { "nova-core", explain_nouveau },
                { "nvidia", explain_nvidia },
                { "pci-stub", explain_passed_through },
                { "pciback", explain_passed_through },
                { "radeon", explain_amdgpu },
                { "xe", explain_xe },
                { "xen-pciback", explain_passed_through },
        };

        if (!f->driver && !f->is_pci)
                return g_strdup("it has registered no mediated types; its driver may be going away");
        if (!f->driver)
                return explain_no_driver(f);
        for (size_t i = 0; i < G_N_ELEMENTS(table); i++)
                if (strcmp(table[i].driver, f->driver) == 0)
                        return table[i].explain(f);
        return vfs_driver_is_vfio(f->driver) ? explain_passed_through(f) : explain_other(f);
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
        vgpud_hint_done(ret_hint);
        if (ret_reason)
                *ret_reason = best ? NULL : explain_no_back_end(facts);

        return best;
}
