/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A device of another class than display, with plain SR-IOV: bound to pci-pf-stub, whose sriov_configure is
 * pci_sriov_configure_simple(). The 64 virtual functions have no driver of their own, and the last VFs are on
 * the next bus; all functions are in a PCI domain other than 0.
 */

#include "simhost/model.h"

static const GpuOps ops = { .driver = "pci-pf-stub", .has_sriov_configure = true, .keeps_vfs = true };

static void sriov_build(const ModelOptions *options)
{
        static const PciSpec spec = {
                .address = "0001:41:00.0",
                .bridge = "pci0001:40/0001:40:01.0",
                .vendor = 0x1d0f,
                .device = 0x0053,
                .subsystem_vendor = 0x1d0f,
                .subsystem_device = 0x0000,
                .class = 0x088000,
                .revision = 0,
                .numa_node = 1,
                .link_speed = "8.0 GT/s",
                .link_width = 16,
        };

        (void)gpu_plug(gpu_new(&spec, &ops, 64, 0x0054, 0x90, 2));
}

const Model model_sriov = {
        .name = "sriov",
        .summary = "no GPU: 0001:41:00.0 with up to 64 virtual functions, some on bus 42, without a driver of their own",
        .build = sriov_build,
};
