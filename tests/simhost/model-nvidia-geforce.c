/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * An NVIDIA GeForce RTX 5090 with the driver for graphics and compute. The PCI capability advertises one
 * virtual function; there is no vGPU manager, and NVML lists no types.
 */

#include "simhost/nvidia.h"

static void geforce_build(const ModelOptions *options)
{
        static const PciSpec spec = {
                .address = "0000:01:00.0",
                .bridge = "pci0000:00/0000:00:01.0",
                .vendor = 0x10de,
                .device = 0x2b85,
                .subsystem_vendor = 0x1462,
                .subsystem_device = 0x5312,
                .class = 0x030000,
                .revision = 0xa1,
                .numa_node = -1,
                .link_speed = "32.0 GT/s",
                .link_width = 16,
                .is_display = true,
        };
        static const NvidiaTypes none = { NULL, 0 };
        static NvidiaCard card = {
                .types = &none, .memory_mib = 32607, .usable_mib = 32607, .has_no_manager = true
        };

        nvidia_add_card(&card, &spec, 1, 0x2b85);
}

const Model model_nvidia_geforce = {
        .name = "nvidia-geforce",
        .summary = "NVIDIA GeForce RTX 5090: 0000:01:00.0, the driver for graphics, one virtual function of no use",
        .node = NVIDIA_NODE,
        .build = geforce_build,
};
