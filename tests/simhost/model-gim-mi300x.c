/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Two AMD MI300X with gim 8: a module parameter fixes the number of virtual functions, here four of eight;
 * sriov_numvfs cannot change the number. A write to a partition file succeeds even if the driver refuses the
 * value, and fails only for a text that the driver cannot parse. The two GPUs are linked: they are partitioned
 * together, and only while all VFs of both are disabled. Two files act when read, so reading them ends the
 * simulated host.
 */

#include "simhost/model.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "simhost/sriov.h"

#define VFS          8
#define VFS_MADE     4
#define MEMORY_BYTES (192ULL << 30)
#define RESOURCES    4
#define GPUS         2
#define XCCS         8 /* parts (XCCs) of a GPU */

enum { NPS1 = 1, NPS2 = 2, NPS4 = 4 };

typedef struct Profile {
        const char *name;
        unsigned partitions;
        unsigned memory; /* bits of the memory modes that the driver lists for the profile */
        struct {
                unsigned count, shared_by;
        } resources[RESOURCES];
} Profile;

static const char *const resource_names[RESOURCES] = { "XCC", "DECODER", "DMA", "JPEG" };
static const Profile profiles[] = {
        { "SPX", 1, NPS1, { { 8, 1 }, { 4, 1 }, { 16, 1 }, { 32, 1 } } },
        { "DPX", 2, NPS1, { { 4, 1 }, { 2, 1 }, { 8, 1 }, { 16, 1 } } },
        { "QPX", 4, NPS1 | NPS4, { { 2, 1 }, { 1, 1 }, { 4, 1 }, { 8, 1 } } },
        { "CPX", 8, NPS1 | NPS4, { { 1, 1 }, { 1, 2 }, { 2, 1 }, { 8, 2 } } },
};

typedef struct Accelerator {
        Gpu *gpu;
        unsigned profile; /* index */
        unsigned memory;
        bool self_switch;
} Accelerator;

static Accelerator *accelerators[GPUS];

/* True if any VF of either GPU is enabled; the driver refuses changes then. A VF is enabled by VFIO at open, or
 * by a host driver that is bound to the VF. */
static bool any_is_enabled(void)
{
        for (unsigned i = 0; i < GPUS; i++)
                for (unsigned j = 1; j < accelerators[i]->gpu->n_functions; j++) {
                        const Device *device = accelerators[i]->gpu->functions[j].device;

                        if (device && pci_is_enabled(device))
                                return true;
                }

        return false;
}

/* True if the driver accepts the profile: one partition per VF and at least as many as memory partitions, or
 * one partition per XCC. */
static bool is_possible(unsigned profile, unsigned memory)
{
        unsigned partitions = profiles[profile].partitions;

        return (partitions == VFS_MADE && partitions >= memory) || partitions == XCCS;
}

static unsigned usual_profile(void)
{
        unsigned i = 0;

        while (profiles[i].partitions != VFS_MADE)
                i++;

        return i;
}

/* "[[0 1 2 3 ][0 1 2 3 ]]": rows of each partition in the table of resources. */
static void append_resources(GString *text, unsigned profile)
{
        g_string_append_c(text, '[');
        for (unsigned i = 0; i < profiles[profile].partitions; i++) {
                g_string_append_c(text, '[');
                for (unsigned j = 0; j < RESOURCES; j++)
                        g_string_append_printf(text, "%u ", profile * RESOURCES + j);
                g_string_append_c(text, ']');
        }

        g_string_append(text, "]\n");
}

static int show_profile(Node *node, GString *text)
{
        const Accelerator *accelerator = node->data;
        const Profile *profile = &profiles[accelerator->profile];

        g_string_append_printf(text, "%-20s%-20s%-20s%-20s%-20s\n", "profile_index", "profile_type",
                               "num_of_partitions", "num_of_resources", "resource_index_in_resource_profiles");
        g_string_append_printf(text, "%-20u%-20s%-20u%-20u", accelerator->profile, profile->name,
                               profile->partitions, RESOURCES);
        append_resources(text, accelerator->profile);

        return 0;
}

/* The store() functions from here on fail only for values that they cannot parse. */
static int store_profile(Node *node, const char *bytes, size_t length)
{
        const Accelerator *accelerator = node->data;
        unsigned index;

        if (sscanf(bytes, "%u", &index) != 1)
                return -EINVAL;

        if (index == accelerator->profile || index >= G_N_ELEMENTS(profiles) ||
            !is_possible(index, accelerator->memory) || any_is_enabled())
                return 0;

        for (unsigned i = 0; i < GPUS; i++)
                accelerators[i]->profile = index;

        return 0;
}

static void append_memory_names(GString *text, unsigned modes)
{
        g_string_append_printf(text, "%s%s%s", modes & NPS1 ? "NPS1 " : "", modes & NPS2 ? "NPS2 " : "",
                               modes & NPS4 ? "NPS4 " : "");
}

static int show_profile_config(Node *node, GString *text)
{
        g_string_append(text, "resource_profiles:\n");
        g_string_append_printf(text, "%-20s%-20s%-20s%-20s\n", "resource_index", "resource_type",
                               "resource_in_partition", "num_partitions_share_resource");

        for (unsigned i = 0; i < G_N_ELEMENTS(profiles); i++)
                for (unsigned j = 0; j < RESOURCES; j++)
                        g_string_append_printf(text, "%-20u%-20s%-20u%-20u\n", i * RESOURCES + j,
                                               resource_names[j], profiles[i].resources[j].count,
                                               profiles[i].resources[j].shared_by);

        g_string_append(text, "profiles:\n");
        g_string_append_printf(text, "%-20s%-20s%-20s%-20s%-20s%-20s\n", "profile_index", "profile_type",
                               "num_of_partitions", "memory_caps", "num_of_resources", "resource_index");

        for (unsigned i = 0; i < G_N_ELEMENTS(profiles); i++) {
                g_autoptr(GString) memory = g_string_new(NULL);

                append_memory_names(memory, profiles[i].memory);
                g_string_append_printf(text, "%-20u%-20s%-20u%-20s%-20u", i, profiles[i].name,
                                       profiles[i].partitions, memory->str, RESOURCES);
                append_resources(text, i);
        }

        return 0;
}

static int show_memory(Node *node, GString *text)
{
        const Accelerator *accelerator = node->data;
        guint64 size = MEMORY_BYTES / accelerator->memory;

        g_string_append_printf(text, "memory_partition_mode: NPS%u\nnuma_count: %u\n", accelerator->memory,
                               accelerator->memory);

        for (unsigned i = 0; i < accelerator->memory; i++)
                g_string_append_printf(text,
                                       "NUMA%u type=1 start=0x%016" G_GINT64_MODIFIER
                                       "x end=0x%016" G_GINT64_MODIFIER "x\n",
                                       i, i * size, (i + 1) * size - 1);

        return 0;
}

static int store_memory(Node *node, const char *bytes, size_t length)
{
        const Accelerator *accelerator = node->data;
        unsigned mode;

        if (g_ascii_strncasecmp(bytes, "NPS", 3) != 0 || !bytes[3] || !strchr("1248", bytes[3]))
                return -EINVAL;

        mode = bytes[3] == '8' ? NPS4 : (unsigned)(bytes[3] - '0'); /* the driver takes NPS8 for NPS4 */
        if (mode == accelerator->memory || mode == NPS2 || any_is_enabled())
                return 0;

        for (unsigned i = 0; i < GPUS; i++) {
                accelerators[i]->memory = mode;
                accelerators[i]->profile = usual_profile();
        }

        return 0;
}

static int show_memory_config(Node *node, GString *text)
{
        append_memory_names(text, NPS1 | NPS4);
        g_string_append_c(text, '\n');
        return 0;
}

static int show_spatial(Node *node, GString *text)
{
        g_string_append_printf(text, "%s\n", profiles[usual_profile()].name);
        return 0;
}

static int show_self_switch(Node *node, GString *text)
{
        g_string_append_printf(text, "%d\n", ((const Accelerator *)node->data)->self_switch);
        return 0;
}

static int store_self_switch(Node *node, const char *bytes, size_t length)
{
        unsigned value;

        if (sscanf(bytes, "%u", &value) != 1)
                return -EINVAL;

        ((Accelerator *)node->data)->self_switch = value != 0;

        return 0;
}

static const NodeOps profile_ops = { .show = show_profile, .store_locked = store_profile };
static const NodeOps profile_config_ops = { .show = show_profile_config };
static const NodeOps memory_ops = { .show = show_memory, .store_locked = store_memory };
static const NodeOps memory_config_ops = { .show = show_memory_config };
static const NodeOps spatial_ops = { .show = show_spatial };
static const NodeOps self_switch_ops = { .show = show_self_switch, .store_locked = store_self_switch };

static const struct {
        const char *name;
        mode_t permissions;
        const NodeOps *ops;
} files[] = {
        { "accelerator_partition_profile", 0600, &profile_ops },
        { "accelerator_partition_profile_config", 0400, &profile_config_ops },
        { "memory_partition_mode", 0600, &memory_ops },
        { "memory_partition_config", 0400, &memory_config_ops },
        { "spatial_partition_mode", 0400, &spatial_ops },
        { "self_switch", 0600, &self_switch_ops },
        { "reset_gpu", 0400, &forbidden_ops },   /* resets the GPU */
        { "psp_vbflash", 0664, &forbidden_ops }, /* writes the GPU's flash memory */
};

static int mi300x_bind(GpuFunction *function)
{
        Node *directory = function->device->directory;
        int r;

        if (function->index > 0)
                return 0;

        r = sriov_enable(function->gpu, VFS_MADE);
        if (r < 0)
                return r;

        for (size_t i = 0; i < G_N_ELEMENTS(files); i++)
                node_add_attribute(directory, files[i].name, files[i].permissions, files[i].ops,
                                   function->gpu->state);

        node_add_text(directory, "spatial_partition_caps", 0400, NULL,
                      "num_xcc=8 num_sdma=16 num_vcn=4 num_jpeg=32\n");
        node_add_text(directory, "psp_vbflash_status", 0444, NULL, "0x0\n");

        return 0;
}

static void mi300x_unbind(GpuFunction *function)
{
        if (function->index > 0)
                return;

        for (size_t i = 0; i < G_N_ELEMENTS(files); i++)
                node_remove_child(function->device->directory, files[i].name);
        node_remove_child(function->device->directory, "spatial_partition_caps");
        node_remove_child(function->device->directory, "psp_vbflash_status");
}

/* The host has no driver for virtual functions. */
static const GpuOps gpu_ops = { .driver = "gim", .bind = mi300x_bind, .unbind = mi300x_unbind };

static void mi300x_add(unsigned number, const char *address, const char *bridge, int numa_node)
{
        PciSpec spec = {
                .address = address,
                .bridge = bridge,
                .vendor = 0x1002,
                .device = 0x74a1,
                .subsystem_vendor = 0x1002,
                .subsystem_device = 0x74a1,
                .class = 0x120000,
                .numa_node = numa_node,
                .link_speed = "32.0 GT/s",
                .link_width = 16,
        };
        Accelerator *accelerator = g_new0(Accelerator, 1);

        accelerators[number] = accelerator;
        accelerator->memory = NPS1;
        accelerator->profile = usual_profile();
        accelerator->self_switch = true;
        accelerator->gpu = gpu_new(&spec, &gpu_ops, VFS, 0x74b5, 16, 1);
        accelerator->gpu->state = accelerator;
        (void)gpu_plug(accelerator->gpu);
}

static void mi300x_build(const ModelOptions *options)
{
        mi300x_add(0, "0000:05:00.0", "pci0000:00/0000:00:01.1", 0);
        mi300x_add(1, "0000:26:00.0", "pci0000:20/0000:20:01.1", 1);
}

const Model model_gim_mi300x = {
        .name = "gim-mi300x",
        .summary = "two AMD MI300X with gim 8: 0000:05:00.0 and 0000:26:00.0, four virtual functions each",
        .build = mi300x_build,
};
