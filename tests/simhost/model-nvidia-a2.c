/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * An NVIDIA A2, with SR-IOV on. With vGPU software 13 to 16 each of the 16 virtual functions is a parent that
 * takes one instance, and all instances of the GPU have the same framebuffer size. Types and figures are those
 * of a real node. The common parts of NVIDIA's mediated types are here too. The second model is the card with
 * vGPU software 17 or later.
 */

#include "simhost/nvidia.h"

#include <errno.h>

enum { SIZE_MIB, MAX_INSTANCES };

/* Number of further instances of a type for which the GPU has room. */
static unsigned a2_type_room(const NvidiaGpu *gpu, const MdevTypeSpec *spec)
{
        unsigned size = spec->amount[SIZE_MIB], most = MIN(spec->amount[MAX_INSTANCES], gpu->memory_mib / size);

        if (gpu->mixed)
                return MIN(most, (gpu->memory_mib - gpu->used_mib) / size);
        if (gpu->size_mib != 0 && gpu->size_mib != size)
                return 0;

        return most > gpu->count ? most - gpu->count : 0;
}

static unsigned nvidia_available(const MdevType *type)
{
        const NvidiaGpu *gpu = type->parent->state;
        unsigned more = a2_type_room(gpu, type->spec);

        if (!gpu->on_functions)
                return more;

        return type->parent->mdevs->len > 0 ? 0 : MIN(more, 1);
}

/* The kernel's list already contains the new instance, so a parent with one other instance has two. */
static int nvidia_probe(Mdev *mdev)
{
        NvidiaGpu *gpu = mdev->type->parent->state;

        /* Whatever the reason of a refusal is, the resource manager of the driver returns this errno. */
        if ((gpu->on_functions && mdev->type->parent->mdevs->len > 1) ||
            a2_type_room(gpu, mdev->type->spec) == 0)
                return -EIO;

        gpu->size_mib = mdev->type->spec->amount[SIZE_MIB];
        gpu->used_mib += gpu->size_mib;
        gpu->count++;

        return 0;
}

static void nvidia_release(Mdev *mdev)
{
        NvidiaGpu *gpu = mdev->type->parent->state;

        gpu->used_mib -= mdev->type->spec->amount[SIZE_MIB];

        if (--gpu->count == 0)
                gpu->size_mib = 0;
}

/* The device directory's name is the UUID. Look the instance up by name: the instance may go while a write
 * waits. */
static Mdev *mdev_of(const Node *node)
{
        return node->removed ? NULL : mdev_find(node->parent->parent->name);
}

static int a2_show_parameters(Node *node, GString *text)
{
        const Mdev *mdev = mdev_of(node);

        g_string_append(text, mdev && mdev->parameters ? mdev->parameters : "\n");

        return 0;
}

static int a2_store_parameters(Node *node, const char *bytes, size_t length)
{
        Mdev *mdev;
        int r = 0;

        if (length >= 1024)
                return -E2BIG;

        tree_lock();
        mdev = mdev_of(node);
        if (!mdev)
                r = -ENODEV;
        else if (mdev->holds > 0)
                r = -EPERM;
        else {
                g_free(mdev->parameters);
                mdev->parameters = nvidia_keep_parameters(bytes, length);
        }

        tree_unlock();

        return r;
}

static const NodeOps parameters_ops = { .show = a2_show_parameters, .store = a2_store_parameters };

static void nvidia_add_attributes(Mdev *mdev, Node *directory)
{
        Node *group = node_add_directory(directory, "nvidia");

        node_add_attribute(group, "vgpu_params", 0644, &parameters_ops, NULL);
        node_add_text(group, "vm_name", 0444, NULL, "\n");
}

/* No sriov_configure: the driver makes virtual functions when NVIDIA's sriov-manage asks. */
const GpuOps nvidia_gpu_ops = { .driver = "nvidia", .vf_driver = "nvidia", .keeps_vfs = true };

const MdevParentOps nvidia_ops = {
        .driver = "nvidia-vgpu-vfio",
        .module = "nvidia_vgpu_vfio",
        .available = nvidia_available,
        .probe = nvidia_probe,
        .release = nvidia_release,
        .add_attributes = nvidia_add_attributes,
};

static const PciSpec spec = {
        .address = "0000:08:00.0",
        .bridge = "pci0000:00/0000:00:03.0",
        .vendor = 0x10de,
        .device = 0x25b6,
        .subsystem_vendor = 0x10de,
        .subsystem_device = 0x157e,
        .class = 0x030200,
        .revision = 0xa1,
        .numa_node = 0,
        .link_speed = "16.0 GT/s",
        .link_width = 8,
        .is_display = true,
};

static void a2_build(const ModelOptions *options)
{
        static NvidiaCard card = { .types = &nvidia_a2_types,
                                   .memory_mib = 16384,
                                   .usable_mib = 15356,
                                   .is_mdev = true,
                                   .vfs_at_plug = 16 };

        nvidia_add_card(&card, &spec, 16, 0x25b6);
}

const Model model_nvidia_a2 = {
        .name = "nvidia-a2",
        .summary = "NVIDIA A2: 0000:08:00.0 with 16 virtual functions, 15 types, one framebuffer size at a time",
        .build = a2_build,
};

static void build_vfio(const ModelOptions *options)
{
        static NvidiaCard card = {
                .types = &nvidia_a2_types, .memory_mib = 16384, .usable_mib = 15356, .vfs_at_plug = 16
        };

        nvidia_add_card(&card, &spec, 16, 0x25b6);
}

const Model model_nvidia_a2_vfio = {
        .name = "nvidia-a2-vfio",
        .summary = "NVIDIA A2 with a newer driver: types are set on the virtual functions, no mediated devices",
        .build = build_vfio,
};
