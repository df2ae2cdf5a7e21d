/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * An NVIDIA H200, 141 GiB, 32 virtual functions, disabled at first. In MIG mode, each existing GPU instance
 * can carry one vGPU, of a type with the profile of the instance.
 */

#include "simhost/nvidia.h"

static void h200_build(const ModelOptions *options)
{
        static const PciSpec spec = {
                .address = "0000:19:00.0",
                .bridge = "pci0000:15/0000:15:01.0",
                .vendor = 0x10de,
                .device = 0x2335,
                .subsystem_vendor = 0x10de,
                .subsystem_device = 0x18be,
                .class = 0x030200,
                .revision = 0xa1,
                .numa_node = 0,
                .link_speed = "32.0 GT/s",
                .link_width = 16,
                .is_display = true,
        };
        static NvidiaCard card = { .types = &nvidia_h200_types,
                                   .memory_mib = 144384,
                                   .usable_mib = 143771,
                                   .can_mix = true,
                                   .can_mig = true,
                                   .lists_without_header = true };

        nvidia_add_card(&card, &spec, 32, 0x2335);
}

const Model model_nvidia_h200 = {
        .name = "nvidia-h200",
        .summary = "NVIDIA H200: 0000:19:00.0, 141 GiB, 32 virtual functions, off at first; MIG",
        .node = NVIDIA_NODE,
        .build = h200_build,
};
