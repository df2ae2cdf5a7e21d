/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * An NVIDIA T4, whose mediated types are on the GPU itself. The PCI capability advertises 16 virtual functions
 * all the same, but neither the driver nor sriov-manage enables them.
 */

#include "simhost/nvidia.h"

static void t4_build(const ModelOptions *options)
{
        static const PciSpec spec = {
                .address = "0000:5e:00.0",
                .bridge = "pci0000:5d/0000:5d:00.0",
                .vendor = 0x10de,
                .device = 0x1eb8,
                .subsystem_vendor = 0x10de,
                .subsystem_device = 0x12a2,
                .class = 0x030200,
                .revision = 0xa1,
                .numa_node = 0,
                .link_speed = "8.0 GT/s",
                .link_width = 16,
                .is_display = true,
        };
        static NvidiaCard card = { .types = &nvidia_t4_types,
                                   .memory_mib = 16384,
                                   .usable_mib = 15360,
                                   .is_mdev = true,
                                   .has_no_vfs = true };

        nvidia_add_card(&card, &spec, 16, 0x1eb8);
}

const Model model_nvidia_t4 = {
        .name = "nvidia-t4",
        .summary = "NVIDIA T4: 0000:5e:00.0, mediated types on the GPU; virtual functions that cannot be enabled",
        .node = NVIDIA_NODE,
        .build = t4_build,
};
