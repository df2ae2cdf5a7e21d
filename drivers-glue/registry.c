/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The table of back ends, and the words for a GPU that none of them can divide. Which words, depends on the
 * bound driver and on what it has registered, never on a list of products. */

#include <string.h>

#include "drivers-glue/driver.h"

static const VgpuDriver *const drivers[] = {
        &mdev_driver,
        &nvidia_vfio_driver,
        &sriov_driver,
        &xengt_driver,
};

#define PCI_VENDOR_INTEL  0x8086
#define PCI_VENDOR_NVIDIA 0x10de
#define PCI_VENDOR_AMD    0x1002

static char *explain_no_driver(const GpuFacts *f)
{
        const char *advice = "bind the vendor's host driver, which divides it";

        switch (f->vendor) {
        case PCI_VENDOR_INTEL:
                advice = "load i915 (and kvmgt, where the GPU supports GVT-g)";
                break;
        case PCI_VENDOR_NVIDIA:
                advice = "install the host driver of NVIDIA vGPU (the vGPU manager) and load it";
                break;
        case PCI_VENDOR_AMD:
                advice = "load AMD's host driver for virtualization (gim)";
                break;
        default:
                break;
        }
        return g_strdup_printf("no driver is bound to it, so nothing can divide it; %s", advice);
}

static char *explain_passed_through(const GpuFacts *f)
{
        return g_strdup_printf("it is bound to %s, so it can only be passed through whole; to divide it, bind "
                               "its own driver "
                               "again",
                               f->driver);
}

static char *explain_i915(const GpuFacts *f)
{
        g_autofree char *sriov = NULL;

        if (f->total_vfs > 0)
                sriov = g_strdup_printf("; this GPU is divided by SR-IOV instead (%u virtual functions "
                                        "possible), which this version "
                                        "of vgpud does not drive",
                                        f->total_vfs);
        else
                sriov = g_strdup("; Intel GPUs newer than that are not divided by mediated types");
        return g_strdup_printf("i915 has registered no mediated types; on Broadwell to Comet Lake, load kvmgt "
                               "and boot with "
                               "i915.enable_gvt=1 (and without GuC submission)%s",
                               sriov);
}

static char *explain_xe(const GpuFacts *f)
{
        if (f->total_vfs > 0)
                return g_strdup_printf("xe divides it by SR-IOV only (%u of %u virtual functions are enabled), "
                                       "which this "
                                       "version of vgpud does not drive",
                                       f->enabled_vfs, f->total_vfs);
        return g_strdup("xe has no mediated types and the GPU shows no SR-IOV; where the hardware has it, it "
                        "may be switched "
                        "off in the firmware setup");
}

/* With SR-IOV it has a back end. */
static char *explain_nvidia(const GpuFacts *f)
{
        return g_strdup("its driver has registered no mediated types; it may be the driver for graphics and "
                        "compute: vGPUs "
                        "need the host driver of NVIDIA vGPU (the vGPU manager), a licence for it, and a GPU "
                        "that it supports");
}

static char *explain_nouveau(const GpuFacts *f)
{
        return g_strdup("nouveau cannot divide a GPU; install the host driver of NVIDIA vGPU (the vGPU "
                        "manager) instead");
}

static char *explain_amdgpu(const GpuFacts *f)
{
        return g_strdup("amdgpu cannot divide a GPU; where the hardware can be divided, AMD's host driver "
                        "(gim) does it by "
                        "SR-IOV, which this version of vgpud does not drive");
}

static char *explain_gim(const GpuFacts *f)
{
        return g_strdup_printf("gim divides it by SR-IOV (%u of %u virtual functions are enabled), which this "
                               "version of "
                               "vgpud does not drive",
                               f->enabled_vfs, f->total_vfs);
}

static char *explain_other(const GpuFacts *f)
{
        if (f->total_vfs > 0)
                return g_strdup_printf("its driver %s has registered no mediated types; it has SR-IOV (%u of "
                                       "%u virtual "
                                       "functions are enabled), which this version of vgpud does not drive",
                                       f->driver, f->enabled_vfs, f->total_vfs);
        return g_strdup_printf("its driver %s has registered no mediated types, so it cannot divide the GPU",
                               f->driver);
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
                { "nvidia", explain_nvidia },
                { "pci-stub", explain_passed_through },
                { "vfio-pci", explain_passed_through },
                { "xe", explain_xe },
        };

        if (!f->driver)
                return f->is_pci ? explain_no_driver(f)
                                 : g_strdup("it has registered no mediated types; its driver may be going "
                                            "away");
        for (size_t i = 0; i < G_N_ELEMENTS(table); i++)
                if (strcmp(table[i].driver, f->driver) == 0)
                        return table[i].explain(f);
        /* Variants of vfio-pci are called so: "xe-vfio-pci", "nvgrace_gpu_vfio_pci". */
        if (g_str_has_suffix(f->driver, "vfio-pci") || g_str_has_suffix(f->driver, "vfio_pci"))
                return explain_passed_through(f);
        return explain_other(f);
}

const VgpuDriver *registry_choose(const GpuFacts *facts, char **ret_reason)
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
        *ret_reason = best ? NULL : explain_no_back_end(facts);
        return best;
}
