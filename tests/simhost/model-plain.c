/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A GPU without any virtual GPU interface, and the parents of the "samples" model beside the GPU. */

#include "simhost/model.h"

static const GpuOps gpu_ops = { .driver = "amdgpu", .has_drm = true };

static void plain_build(const ModelOptions *options)
{
        static const PciSpec spec = {
                .address = "0000:03:00.0",
                .bridge = "pci0000:00/0000:00:01.1",
                .vendor = 0x1002,
                .device = 0x744c,
                .subsystem_vendor = 0x1da2,
                .subsystem_device = 0xe471,
                .class = 0x030000,
                .revision = 0xc8,
                .numa_node = -1,
                .link_speed = "16.0 GT/s",
                .link_width = 16,
                .is_display = true,
        };

        (void)gpu_plug(gpu_new(&spec, &gpu_ops, 0, 0, 0, 0));
        model_samples.build(options);
}

const Model model_plain = {
        .name = "plain",
        .summary = "AMD GPU without any back end: 0000:03:00.0; and all of \"samples\"",
        .build = plain_build,
};
