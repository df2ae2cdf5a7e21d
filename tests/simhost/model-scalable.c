/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * GPUs, virtual functions and types in configurable numbers, with NVIDIA's rules. Eight GPUs share a PCI
 * domain. Without virtual functions, the types are on the GPUs, as on NVIDIA's GPUs before Ampere.
 */

#include "simhost/model.h"

#define GPUS_PER_DOMAIN 8
#define MIB_PER_GIB     1024

static const unsigned sizes_gib[] = { 1, 2, 3, 4, 6, 8, 12, 16, 32, 64 };
static const char series[] = { 'Q', 'B', 'C', 'A' };

static MdevTypeSpec *make_types(unsigned count, unsigned memory_gib)
{
        MdevTypeSpec *types = g_new0(MdevTypeSpec, count);

        for (unsigned i = 0; i < count; i++) {
                unsigned size = sizes_gib[i % G_N_ELEMENTS(sizes_gib)];
                unsigned most = MAX(1, memory_gib / size);
                char letter = series[i / G_N_ELEMENTS(sizes_gib) % G_N_ELEMENTS(series)];

                types[i] = (MdevTypeSpec){
                        .suffix = g_strdup_printf("%u", 1000 + i),
                        .name = g_strdup_printf("NVIDIA S64-%u%c", size, letter),
                        .description = g_strdup_printf(
                                        "num_heads=4, frl_config=60, framebuffer=%uM, max_resolution=7680x4320, max_instance=%u",
                                        size * MIB_PER_GIB, most),
                        .amount = { size * MIB_PER_GIB, most },
                };
        }

        return types;
}

static void scalable_build_gpu(unsigned index, const ModelOptions *options, unsigned memory_gib,
                               const MdevTypeSpec *types)
{
        unsigned domain = index / GPUS_PER_DOMAIN, root = 0x10 + index % GPUS_PER_DOMAIN * 0x10;
        g_autofree char *address = g_strdup_printf("%04x:%02x:00.0", domain, root + 1);
        g_autofree char *bridge = g_strdup_printf("pci%04x:%02x/%04x:%02x:01.0", domain, root, domain, root);
        NvidiaGpu *state = g_new0(NvidiaGpu, 1);
        PciSpec spec = {
                .address = g_intern_string(address),
                .bridge = g_intern_string(bridge),
                .vendor = 0x10de,
                .device = 0x26b5,
                .subsystem_vendor = 0x10de,
                .subsystem_device = 0x169d,
                .class = 0x030200,
                .revision = 0xa1,
                .numa_node = (int)(index % 2),
                .link_speed = "16.0 GT/s",
                .link_width = 16,
                .is_display = true,
        };
        Gpu *gpu = gpu_new(&spec, &nvidia_gpu_ops, options->vfs, 0x26b5, 4, 1);

        state->memory_mib = memory_gib * MIB_PER_GIB;
        state->on_functions = options->vfs > 0;

        for (unsigned i = options->vfs > 0 ? 1 : 0; i < gpu->n_functions; i++)
                gpu->functions[i].parent = mdev_parent_new(gpu->functions[i].spec.address, "nvidia",
                                                           &nvidia_ops, types, options->types, state);

        gpu->vfs_at_plug = options->vfs;
        (void)gpu_plug(gpu);
}

static void scalable_build(const ModelOptions *options)
{
        unsigned memory_gib = MAX(64, options->vfs);
        const MdevTypeSpec *types = make_types(options->types, memory_gib);

        for (unsigned i = 0; i < options->gpus; i++)
                scalable_build_gpu(i, options, memory_gib, types);
}

const Model model_scalable = {
        .name = "scalable",
        .summary = "--gpus N GPUs with --vfs N virtual functions and --types N types each",
        .build = scalable_build,
};
