/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Intel GVT-g on a Kaby Lake notebook: i915 with kvmgt, as in drivers/gpu/drm/i915/gvt of Linux 6.1. The
 * aperture is 1 GiB, so that all four types are offered.
 */

#include "simhost/model.h"

#include <errno.h>

#define APERTURE_MIB  1024
#define GTT_MIB       4096
#define FENCES        32
#define HOST_LOW_MIB  128
#define HOST_HIGH_MIB 384
#define HOST_FENCES   4
#define VGPU_MAX      7

enum { LOW_MIB, HIGH_MIB, FENCE, _RESOURCE_MAX };

typedef struct GvtGpu {
        unsigned left[_RESOURCE_MAX];
        bool used_ids[VGPU_MAX + 1]; /* indexes start at 1 */
} GvtGpu;

static GvtGpu gpu_state = {
        .left = {
                [LOW_MIB] = APERTURE_MIB - HOST_LOW_MIB,
                [HIGH_MIB] = GTT_MIB - APERTURE_MIB - HOST_HIGH_MIB,
                [FENCE] = FENCES - HOST_FENCES,
        },
};

#define DESCRIPTION(low, high, resolution, weight)                                            \
        "low_gm_size: " low "MB\nhigh_gm_size: " high "MB\nfence: 4\nresolution: " resolution \
        "\nweight: " weight

static const MdevTypeSpec types[] = {
        { "GVTg_V5_8", NULL, DESCRIPTION("64", "384", "1024x768", "2"), { 64, 384, 4 } },
        { "GVTg_V5_4", NULL, DESCRIPTION("128", "512", "1920x1200", "4"), { 128, 512, 4 } },
        { "GVTg_V5_2", NULL, DESCRIPTION("256", "1024", "1920x1200", "8"), { 256, 1024, 4 } },
        { "GVTg_V5_1", NULL, DESCRIPTION("512", "2048", "1920x1200", "16"), { 512, 2048, 4 } },
};

static unsigned gvt_available(const MdevType *type)
{
        unsigned least = G_MAXUINT;

        for (int i = 0; i < _RESOURCE_MAX; i++)
                least = MIN(least, gpu_state.left[i] / type->spec->amount[i]);

        return least;
}

static int gvt_probe(Mdev *mdev)
{
        unsigned id = 1;

        while (id <= VGPU_MAX && gpu_state.used_ids[id])
                id++;
        if (id > VGPU_MAX || gvt_available(mdev->type) == 0)
                return -ENOSPC;

        gpu_state.used_ids[id] = true;
        mdev->number = id;

        for (int i = 0; i < _RESOURCE_MAX; i++)
                gpu_state.left[i] -= mdev->type->spec->amount[i];

        return 0;
}

static void gvt_release(Mdev *mdev)
{
        gpu_state.used_ids[mdev->number] = false;
        for (int i = 0; i < _RESOURCE_MAX; i++)
                gpu_state.left[i] += mdev->type->spec->amount[i];
}

static void add_attributes(Mdev *mdev, Node *directory)
{
        node_add_format(node_add_directory(directory, "intel_vgpu"), "vgpu_id", 0444, "%u\n", mdev->number);
}

static const MdevParentOps ops = {
        .driver = "intel_vgpu_mdev",
        .module = "kvmgt",
        .available = gvt_available,
        .probe = gvt_probe,
        .release = gvt_release,
        .add_attributes = add_attributes,
};

static const GpuOps gpu_ops = { .driver = "i915", .has_drm = true };

static void gvt_build(const ModelOptions *options)
{
        static const PciSpec spec = {
                .address = "0000:00:02.0",
                .bridge = "pci0000:00",
                .vendor = 0x8086,
                .device = 0x5917,
                .subsystem_vendor = 0x17aa,
                .subsystem_device = 0x2258,
                .class = 0x030000,
                .revision = 7,
                .numa_node = -1,
                .is_display = true,
        };
        /* A device that is no GPU. */
        static const PciSpec network = {
                .address = "0000:00:1f.6",
                .bridge = "pci0000:00",
                .vendor = 0x8086,
                .device = 0x15d8,
                .subsystem_vendor = 0x17aa,
                .subsystem_device = 0x2258,
                .class = 0x020000,
                .revision = 0x21,
                .numa_node = -1,
        };
        Gpu *gpu = gpu_new(&spec, &gpu_ops, 0, 0, 0, 0);

        device_set_driver(pci_add(&network), "e1000e");
        node_add_text(node_add_directory(device_module("i915"), "parameters"), "enable_gvt", 0400, NULL, "Y\n");
        gpu->functions[0].parent =
                        mdev_parent_new(spec.address, "i915", &ops, types, G_N_ELEMENTS(types), &gpu_state);
        (void)gpu_plug(gpu);
}

const Model model_gvt_g = {
        .name = "gvt-g",
        .summary = "Intel GPU with GVT-g: 0000:00:02.0, four types",
        .build = gvt_build,
};
