/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Intel's xe with SR-IOV: an Arc Pro B60 (Battlemage) behind the switch that is part of the card, and the
 * integrated GPU of an Alder Lake notebook. sriov_admin/ is as in drivers/gpu/drm/xe/xe_sriov_pf_sysfs.c of
 * Linux 7: quotas of virtual functions are set before the VFs are enabled. If no quota is set, enabling divides
 * the memory fairly. Disabling sets all memory quotas to 0.
 */

#include "simhost/model.h"

#include <errno.h>
#include <string.h>

#define VFS_MAX            12
#define QUANTUM_MS_MAX     100000
#define VRAM_QUOTA_GRANULE (2ULL * 1024 * 1024)
#define GIB                (1024ULL * 1024 * 1024)

enum { PRIORITY_LOW, PRIORITY_NORMAL, PRIORITY_HIGH, _PRIORITY_MAX };

static const char *const priority_names[_PRIORITY_MAX] = { "low", "normal", "high" };

typedef struct XeGpu XeGpu;

/* The profile of a function in sriov_admin/: data of the files there. */
typedef struct XeProfile {
        XeGpu *xe;
        GpuFunction *function;
        guint32 quantum_ms;
        guint32 timeout_us;
        int priority;
        guint64 vram_quota;
        bool stopped;
} XeProfile;

struct XeGpu {
        Gpu *gpu;
        guint64 vram_bytes; /* memory for all virtual functions together; 0: the GPU uses system memory */
        XeProfile profiles[1 + VFS_MAX]; /* [0]: the physical function's */
};

typedef int (*SetFunc)(XeProfile *profile, guint64 value);

/* Write a value of the bulk profile to the functions from number `first` on. Function 0 is the physical
 * function, which has no memory quota. */
static int set_all(XeGpu *xe, unsigned first, SetFunc set, guint64 value)
{
        for (unsigned i = first; i <= xe->gpu->total_vfs; i++) {
                int r = set(&xe->profiles[i], value);

                if (r < 0)
                        return r;
        }

        return 0;
}

static int set_quantum(XeProfile *profile, guint64 value)
{
        profile->quantum_ms = (guint32)MIN(value, QUANTUM_MS_MAX);
        return 0;
}

static int set_timeout(XeProfile *profile, guint64 value)
{
        profile->timeout_us = (guint32)value;
        return 0;
}

static int set_priority(XeProfile *profile, guint64 value)
{
        profile->priority = (int)value;
        return 0;
}

static int show_quantum(Node *node, GString *text)
{
        g_string_append_printf(text, "%u\n", ((const XeProfile *)node->data)->quantum_ms);
        return 0;
}

static int show_timeout(Node *node, GString *text)
{
        g_string_append_printf(text, "%u\n", ((const XeProfile *)node->data)->timeout_us);
        return 0;
}

/* "[low] normal", and for the physical function also "high". */
static int show_priority(Node *node, GString *text)
{
        const XeProfile *profile = node->data;
        int count = profile->function->index == 0 ? _PRIORITY_MAX : PRIORITY_HIGH;

        for (int i = 0; i < count; i++)
                g_string_append_printf(text, i == profile->priority ? "%s[%s]" : "%s%s", i > 0 ? " " : "",
                                       priority_names[i]);

        g_string_append_c(text, '\n');

        return 0;
}

static int xe_store_u32(const Node *node, const char *bytes, bool bulk, SetFunc set)
{
        XeProfile *profile = node->data;
        guint64 value;
        int r = kernel_parse_unsigned(bytes, G_MAXUINT32, &value);

        if (r < 0)
                return r;

        return bulk ? set_all(profile->xe, 0, set, value) : set(profile, value);
}

static int store_quantum(Node *node, const char *bytes, size_t length)
{
        return xe_store_u32(node, bytes, false, set_quantum);
}

static int store_bulk_quantum(Node *node, const char *bytes, size_t length)
{
        return xe_store_u32(node, bytes, true, set_quantum);
}

static int store_timeout(Node *node, const char *bytes, size_t length)
{
        return xe_store_u32(node, bytes, false, set_timeout);
}

static int store_bulk_timeout(Node *node, const char *bytes, size_t length)
{
        return xe_store_u32(node, bytes, true, set_timeout);
}

static int parse_priority(const char *bytes)
{
        g_autofree char *word = g_strndup(bytes, strcspn(bytes, "\n"));

        for (int i = 0; i < _PRIORITY_MAX; i++)
                if (g_str_equal(priority_names[i], word))
                        return i;

        return -EINVAL;
}

static int store_priority(Node *node, const char *bytes, size_t length)
{
        int priority = parse_priority(bytes);

        return priority < 0 ? priority : set_priority(node->data, (guint64)priority);
}

static int store_bulk_priority(Node *node, const char *bytes, size_t length)
{
        const XeProfile *profile = node->data;
        int priority = parse_priority(bytes);

        if (priority < 0)
                return priority;
        if (priority == PRIORITY_HIGH)
                return -EPERM;

        return set_all(profile->xe, 0, set_priority, (guint64)priority);
}

static guint64 vram_used(const XeGpu *xe)
{
        guint64 used = 0;

        for (unsigned i = 1; i <= xe->gpu->total_vfs; i++)
                used += xe->profiles[i].vram_quota;

        return used;
}

static guint64 round_up(guint64 value, guint64 granule)
{
        return (value + granule - 1) / granule * granule;
}

static int set_vram_quota(XeProfile *profile, guint64 value)
{
        const XeGpu *xe = profile->xe;

        if (profile->function->device)
                return -EBUSY;

        if (value > xe->vram_bytes ||
            round_up(value, VRAM_QUOTA_GRANULE) + vram_used(xe) - profile->vram_quota > xe->vram_bytes)
                return -ENOSPC;

        profile->vram_quota = round_up(value, VRAM_QUOTA_GRANULE);

        return 0;
}

static int show_vram_quota(Node *node, GString *text)
{
        g_string_append_printf(text, "%" G_GUINT64_FORMAT "\n", ((const XeProfile *)node->data)->vram_quota);
        return 0;
}

static int store_vram_quota(Node *node, const char *bytes, size_t length)
{
        guint64 value;
        int r = kernel_parse_unsigned(bytes, G_MAXUINT64, &value);

        return r < 0 ? r : set_vram_quota(node->data, value);
}

static int store_bulk_vram_quota(Node *node, const char *bytes, size_t length)
{
        const XeProfile *profile = node->data;
        guint64 value;
        int r = kernel_parse_unsigned(bytes, G_MAXUINT64, &value);

        return r < 0 ? r : set_all(profile->xe, 1, set_vram_quota, value);
}

static int store_stop(Node *node, const char *bytes, size_t length)
{
        XeProfile *profile = node->data;
        bool yes;

        if (kernel_parse_bool(bytes, &yes) < 0)
                return -EINVAL;

        if (!yes)
                return 0;

        if (!profile->function->device)
                return -ENODEV;
        if (profile->stopped)
                return -ESTALE;

        profile->stopped = true;

        return 0;
}

static const NodeOps quantum_ops = { .show = show_quantum, .store_locked = store_quantum };
static const NodeOps timeout_ops = { .show = show_timeout, .store_locked = store_timeout };
static const NodeOps priority_ops = { .show = show_priority, .store_locked = store_priority };
static const NodeOps vram_quota_ops = { .show = show_vram_quota, .store_locked = store_vram_quota };
static const NodeOps stop_ops = { .store_locked = store_stop };
static const NodeOps bulk_quantum_ops = { .store_locked = store_bulk_quantum };
static const NodeOps bulk_timeout_ops = { .store_locked = store_bulk_timeout };
static const NodeOps bulk_priority_ops = { .store_locked = store_bulk_priority };
static const NodeOps bulk_vram_quota_ops = { .store_locked = store_bulk_vram_quota };

static void add_bulk_files(XeGpu *xe, Node *admin)
{
        Node *bulk = node_add_directory(admin, ".bulk_profile");

        node_add_attribute(bulk, "exec_quantum_ms", 0200, &bulk_quantum_ops, &xe->profiles[0]);
        node_add_attribute(bulk, "preempt_timeout_us", 0200, &bulk_timeout_ops, &xe->profiles[0]);

        node_add_attribute(bulk, "sched_priority", 0200, &bulk_priority_ops, &xe->profiles[0]);
        if (xe->vram_bytes > 0)
                node_add_attribute(bulk, "vram_quota", 0200, &bulk_vram_quota_ops, &xe->profiles[0]);
}

static void add_function_files(XeProfile *profile, Node *admin)
{
        unsigned number = profile->function->index;
        g_autofree char *name = number == 0 ? g_strdup("pf") : g_strdup_printf("vf%u", number);
        Node *directory = node_add_directory(admin, name), *files = node_add_directory(directory, "profile");

        node_add_attribute(files, "exec_quantum_ms", 0644, &quantum_ops, profile);
        node_add_attribute(files, "preempt_timeout_us", 0644, &timeout_ops, profile);
        node_add_attribute(files, "sched_priority", number == 0 ? 0644 : 0444, &priority_ops, profile);

        if (number == 0) {
                node_add_link(directory, "device", profile->function->device->directory);
                return;
        }

        if (profile->xe->vram_bytes > 0)
                node_add_attribute(files, "vram_quota", 0644, &vram_quota_ops, profile);
        node_add_attribute(directory, "stop", 0200, &stop_ops, profile);
}

static int xe_bind(GpuFunction *function)
{
        XeGpu *xe = function->gpu->state;
        Node *admin;

        if (function->index > 0)
                return 0;

        admin = node_add_directory(function->device->directory, "sriov_admin");
        add_bulk_files(xe, admin);

        for (unsigned i = 0; i <= function->gpu->total_vfs; i++) {
                xe->profiles[i] = (XeProfile){ .xe = xe, .function = &function->gpu->functions[i] };
                add_function_files(&xe->profiles[i], admin);
        }

        return 0;
}

static void xe_unbind(GpuFunction *function)
{
        if (function->index == 0)
                node_remove_child(function->device->directory, "sriov_admin");
}

/* Returns the fair share of each of count VFs: like the driver's, a power of two. */
static guint64 fair_share(guint64 bytes, unsigned count)
{
        guint64 share = VRAM_QUOTA_GRANULE;

        while (share * 2 * count <= bytes)
                share *= 2;

        return share;
}

static int xe_vfs_enable(Gpu *gpu, unsigned count)
{
        XeGpu *xe = gpu->state;

        if (xe->vram_bytes > 0 && vram_used(xe) == 0)
                for (unsigned i = 1; i <= count; i++)
                        xe->profiles[i].vram_quota = fair_share(xe->vram_bytes, count);

        return (int)count;
}

static void xe_vfs_disable(Gpu *gpu)
{
        XeGpu *xe = gpu->state;

        for (unsigned i = 1; i <= gpu->total_vfs; i++) {
                xe->profiles[i].vram_quota = 0;
                xe->profiles[i].stopped = false;
        }
}

/* sriov_admin/vfN */
static Node *admin_directory(const GpuFunction *function)
{
        g_autofree char *path = g_strdup_printf("sriov_admin/vf%u", function->index);
        const GpuFunction *physical = &function->gpu->functions[0];

        return physical->device ? node_find(physical->device->directory, path) : NULL;
}

static void xe_vf_add(GpuFunction *function)
{
        node_add_link(admin_directory(function), "device", function->device->directory);
}

static void xe_vf_remove(GpuFunction *function)
{
        Node *directory = admin_directory(function);

        if (directory)
                node_remove_child(directory, "device");
}

static const GpuOps xe_ops = {
        .driver = "xe",
        .vf_driver = "xe",
        .vfio_driver = "xe-vfio-pci",
        .has_drm = true,
        .has_sriov_configure = true,
        .bind = xe_bind,
        .unbind = xe_unbind,
        .vfs_enable = xe_vfs_enable,
        .vfs_disable = xe_vfs_disable,
        .vf_add = xe_vf_add,
        .vf_remove = xe_vf_remove,
};

static void xe_build_gpu(const PciSpec *spec, XeGpu *xe, unsigned n_vfs)
{
        Node *module = device_module("xe");

        if (!node_find(module, "parameters"))
                node_add_text(node_add_directory(module, "parameters"), "max_vfs", 0400, NULL, "4294967295\n");

        xe->gpu = gpu_new(spec, &xe_ops, n_vfs, spec->device, 1, 1);
        xe->gpu->state = xe;
        (void)gpu_plug(xe->gpu);
}

static void build_battlemage(const ModelOptions *options)
{
        static const PciSpec spec = {
                .address = "0000:03:00.0",
                .bridge = "pci0000:00/0000:00:01.0/0000:01:00.0/0000:02:01.0",
                .vendor = 0x8086,
                .device = 0xe211,
                .subsystem_vendor = 0x8086,
                .subsystem_device = 0x1114,
                .class = 0x030000,
                .revision = 0,
                .numa_node = 0,
                .link_speed = "32.0 GT/s",
                .link_width = 8,
                .is_display = true,
        };
        static XeGpu xe = { .vram_bytes = 23 * GIB }; /* 24 GiB less the host's share */

        xe_build_gpu(&spec, &xe, 12);
}

static void build_integrated(const ModelOptions *options)
{
        static const PciSpec spec = {
                .address = "0000:00:02.0",
                .bridge = "pci0000:00",
                .vendor = 0x8086,
                .device = 0x46a6,
                .subsystem_vendor = 0x17aa,
                .subsystem_device = 0x22e7,
                .class = 0x030000,
                .revision = 0x0c,
                .numa_node = -1,
                .is_display = true,
        };
        static XeGpu xe;

        xe_build_gpu(&spec, &xe, 7);
}

const Model model_xe = {
        .name = "xe",
        .summary = "Intel Arc Pro B60 with xe: 0000:03:00.0, up to 12 virtual functions, 23 GiB for them",
        .build = build_battlemage,
};

const Model model_xe_igpu = {
        .name = "xe-igpu",
        .summary = "Intel integrated GPU with xe: 0000:00:02.0, up to 7 virtual functions",
        .build = build_integrated,
};
