/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * An NVIDIA L40S after boot: 48 GiB and 32 virtual functions, none of which is enabled yet. The card can mix
 * sizes (heterogeneous mode). In the model nvidia-l40s, a write to a file of a virtual function sets its type.
 * In the model nvidia-l40s-mdev, the virtual functions offer mediated types, as with an older driver or kernel.
 */

#include "simhost/nvidia.h"

static const PciSpec spec = {
        .address = "0000:41:00.0",
        .bridge = "pci0000:40/0000:40:01.0",
        .vendor = 0x10de,
        .device = 0x26b9,
        .subsystem_vendor = 0x10de,
        .subsystem_device = 0x1851,
        .class = 0x030200,
        .revision = 0xa1,
        .numa_node = 1,
        .link_speed = "16.0 GT/s",
        .link_width = 16,
        .is_display = true,
};

static void l40s_build(const ModelOptions *options)
{
        static NvidiaCard card = {
                .types = &nvidia_l40s_types, .memory_mib = 49152, .usable_mib = 46068, .can_mix = true
        };

        nvidia_add_card(&card, &spec, 32, 0x26b9);
}

const Model model_nvidia_l40s = {
        .name = "nvidia-l40s",
        .summary = "NVIDIA L40S: 0000:41:00.0, 48 GiB, 32 virtual functions, not enabled at first; 23 types that are set on them",
        .node = NVIDIA_NODE,
        .build = l40s_build,
};

static void build_mdev(const ModelOptions *options)
{
        static NvidiaCard card = { .types = &nvidia_l40s_types,
                                   .memory_mib = 49152,
                                   .usable_mib = 46068,
                                   .is_mdev = true,
                                   .can_mix = true };

        nvidia_add_card(&card, &spec, 32, 0x26b9);
}

const Model model_nvidia_l40s_mdev = {
        .name = "nvidia-l40s-mdev",
        .summary = "the card of nvidia-l40s with mediated types on its virtual functions",
        .node = NVIDIA_NODE,
        .build = build_mdev,
};
