/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The kernel's sample drivers mdpy, mbochs and mtty (samples/vfio-mdev, Linux 6.1 and later): parents without a
 * bus, whose types report "vfio-pci" as API although there is no PCI device.
 */

#include "simhost/model.h"

#include <errno.h>

#define MTTY_PORTS     24
#define MBOCHS_MEMORY  256
#define MDPY_INSTANCES 4

static const MdevTypeSpec mdpy_types[] = {
        { "vga", "mdpy-vga", "virtual display, 640x480 framebuffer", { 640, 480 } },
        { "xga", "mdpy-xga", "virtual display, 1024x768 framebuffer", { 1024, 768 } },
        { "hd", "mdpy-hd", "virtual display, 1920x1080 framebuffer", { 1920, 1080 } },
};

static const MdevTypeSpec mbochs_types[] = {
        { "small", "mbochs-small", "virtual display, 4 MB video memory", { 4 } },
        { "medium", "mbochs-medium", "virtual display, 16 MB video memory", { 16 } },
        { "large", "mbochs-large", "virtual display, 64 MB video memory", { 64 } },
};

static const MdevTypeSpec mtty_types[] = {
        { "1", "Single port serial", NULL, { 1 } },
        { "2", "Dual port serial", NULL, { 2 } },
};

/* Each instance of mtty and mbochs takes amount[0] of the remaining ports or memory of its parent. */
static unsigned samples_available(const MdevType *type)
{
        return *(const unsigned *)type->parent->state / type->spec->amount[0];
}

static int samples_probe(Mdev *mdev)
{
        unsigned *left = mdev->type->parent->state;

        if (*left < mdev->type->spec->amount[0])
                return -ENOSPC;

        *left -= mdev->type->spec->amount[0];

        return 0;
}

static void samples_release(Mdev *mdev)
{
        *(unsigned *)mdev->type->parent->state += mdev->type->spec->amount[0];
}

static void add_mdpy_attributes(Mdev *mdev, Node *directory)
{
        node_add_format(node_add_directory(directory, "vendor"), "resolution", 0444, "%ux%u\n",
                        mdev->type->spec->amount[0], mdev->type->spec->amount[1]);
}

static void add_mbochs_attributes(Mdev *mdev, Node *directory)
{
        node_add_format(node_add_directory(directory, "vendor"), "memory", 0444, "%u MB\n",
                        mdev->type->spec->amount[0]);
}

static void add_mtty_attributes(Mdev *mdev, Node *directory)
{
        node_add_format(node_add_directory(directory, "vendor"), "sample_mdev_dev", 0444, "This is MDEV %s\n",
                        mdev->uuid);
}

static const MdevParentOps mdpy_ops = { .driver = "mdpy",
                                        .module = "mdpy",
                                        .add_attributes = add_mdpy_attributes };
static const MdevParentOps mbochs_ops = { .driver = "mbochs",
                                          .module = "mbochs",
                                          .available = samples_available,
                                          .probe = samples_probe,
                                          .release = samples_release,
                                          .add_attributes = add_mbochs_attributes };
static const MdevParentOps mtty_ops = { .driver = "mtty",
                                        .module = "mtty",
                                        .available = samples_available,
                                        .probe = samples_probe,
                                        .release = samples_release,
                                        .add_attributes = add_mtty_attributes };

static void samples_build(const ModelOptions *options)
{
        static unsigned mbochs_left = MBOCHS_MEMORY, mtty_left = MTTY_PORTS;
        MdevParent *mdpy;

        /* The models "plain" and "samples" share these parents. */
        if (mdev_parent_find("mdpy"))
                return;

        mdpy = mdev_parent_new("mdpy", "mdpy", &mdpy_ops, mdpy_types, G_N_ELEMENTS(mdpy_types), NULL);
        mdpy->budget = MDPY_INSTANCES;
        gpu_add_virtual_parent(mdpy);
        gpu_add_virtual_parent(mdev_parent_new("mbochs", "mbochs", &mbochs_ops, mbochs_types,
                                               G_N_ELEMENTS(mbochs_types), &mbochs_left));
        gpu_add_virtual_parent(mdev_parent_new("mtty", "mtty", &mtty_ops, mtty_types, G_N_ELEMENTS(mtty_types),
                                               &mtty_left));
}

const Model model_samples = {
        .name = "samples",
        .summary = "the kernel's sample parents mdpy, mbochs and mtty, which are not PCI",
        .build = samples_build,
};
