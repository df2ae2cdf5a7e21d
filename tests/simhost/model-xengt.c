/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * XenGT on a Haswell desktop: the patched i915 of the 4.3 era, with the interface /sys/kernel/vgt. There is no
 * UUID, no PCI function and no VFIO: a vGPU is a directory vmID, and needs a Xen domain of that ID. Low
 * graphics memory and fences are allocated contiguously, so ENOMEM is possible although the counts suffice.
 * High memory is shared in slots of 64 MiB: the host's slots are exclusive and show as taken, those of vGPUs do
 * not (vgt/aperture_gm.c: only mark non-shared hidden gm space in bitmap).
 */

#include "simhost/model.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define LOW_MIB      512
#define GM_MIB       4096 /* low and high memory together */
#define SLOT_MIB     64
#define SLOTS        ((GM_MIB - LOW_MIB) / SLOT_MIB)
#define FENCES       32
#define VGT_MAX      8 /* limit of vgt_id; the host has vgt_id 0 */
#define PORTS        5
#define EDID_SIZE    128
#define APERTURE     0xd0000000ULL
#define BYTES_PER_MB (1ULL << 20)

/* The host's share of each resource. Its low memory is at the beginning of the aperture, and the driver's
 * reserve at the end. */
#define HOST_LOW_MIB     96
#define HOST_RESERVE_MIB 32
#define HOST_HIGH_MIB    384
#define HOST_FENCES      4

typedef struct Vgt {
        unsigned vm_id;
        unsigned vgt_id;
        unsigned low_start, low_mib;
        unsigned high_mib;
        unsigned fence_start, fences;
        bool scheduled;
        Node *directory; /* borrowed from the tree */
} Vgt;

static guint8 gm_used[GM_MIB];
static guint8 slot_used[SLOTS]; /* 1: the host's own; vGPUs share the others, which stay 0 */
static guint8 fence_used[FENCES];
static Vgt *vgts[VGT_MAX]; /* index: vgt_id; the host has no directory */
static Node *root;

static unsigned count_free(const guint8 *used, unsigned start, unsigned end)
{
        unsigned free_ones = 0;

        for (unsigned i = start; i < end; i++)
                free_ones += !used[i];

        return free_ones;
}

/* Returns the index of the first of `wanted` consecutive zeros, or -1. */
static int find_area(const guint8 *used, unsigned size, unsigned wanted)
{
        unsigned run = 0;

        for (unsigned i = 0; i < size; i++) {
                run = used[i] ? 0 : run + 1;
                if (run >= wanted)
                        return (int)(i + 1 - wanted);
        }

        return -1;
}

static unsigned slots_for(unsigned high_mib)
{
        return (high_mib + SLOT_MIB - 1) / SLOT_MIB;
}

static void xengt_mark(const Vgt *vgt, guint8 value)
{
        memset(gm_used + vgt->low_start, value, vgt->low_mib);
        memset(fence_used + vgt->fence_start, value, vgt->fences);
}

static int xengt_allocate(Vgt *vgt)
{
        int low = find_area(gm_used, LOW_MIB, vgt->low_mib),
            slot = vgt->high_mib > 0 ? find_area(slot_used, SLOTS, slots_for(vgt->high_mib)) : 0,
            fence = find_area(fence_used, FENCES, vgt->fences);

        if (low < 0 || slot < 0 || fence < 0)
                return -ENOMEM;

        vgt->low_start = (unsigned)low;
        vgt->fence_start = (unsigned)fence;
        xengt_mark(vgt, 1);

        return 0;
}

static Vgt *find_vm(unsigned vm_id)
{
        for (unsigned i = 1; i < VGT_MAX; i++)
                if (vgts[i] && vgts[i]->vm_id == vm_id)
                        return vgts[i];

        return NULL;
}

/* The kernel's format of bitmaps: words of 32 bits, the highest first. */
static void append_bitmap(GString *text, const guint8 *used, unsigned size)
{
        for (unsigned word = size / 32; word > 0; word--) {
                guint32 bits = 0;

                for (unsigned i = 0; i < 32; i++)
                        bits |= (guint32)used[(word - 1) * 32 + i] << i;
                g_string_append_printf(text, "%08x%c", bits, word > 1 ? ',' : '\n');
        }
}

static int xengt_show_available(Node *node, GString *text)
{
        g_string_append_printf(text, "0x%08x, 0x%08x, 0x%08x, 0x%08x, 0x%08x, 0x%08x\n", LOW_MIB,
                               count_free(gm_used, 0, LOW_MIB), GM_MIB - LOW_MIB,
                               count_free(gm_used, LOW_MIB, GM_MIB), FENCES, count_free(fence_used, 0, FENCES));
        append_bitmap(text, gm_used, GM_MIB);
        append_bitmap(text, fence_used, FENCES);

        return 0;
}

static const NodeOps available_ops = { .show = xengt_show_available };

static int show_schedule(Node *node, GString *text)
{
        const Vgt *vgt = node->data;

        g_string_append(text, vgt->scheduled ? "DEACTIVE\n" : "REMOVED\n");

        return 0;
}

static const NodeOps schedule_ops = { .show = show_schedule };

/* Values other than 0 and 1 are ignored silently. */
static int store_start(Node *node, const char *bytes, size_t length)
{
        int r = 0;

        tree_lock();

        if (node->removed)
                r = -ENODEV;
        else if (bytes[0] == '0' || bytes[0] == '1')
                ((Vgt *)node->data)->scheduled = bytes[0] == '1';

        tree_unlock();

        return r;
}

static const NodeOps start_ops = { .store = store_start };

static int store_nothing(Node *node, const char *bytes, size_t length)
{
        return 0;
}

static const NodeOps ignored_ops = { .store = store_nothing };

static int store_edid_text(Node *node, const char *bytes, size_t length)
{
        return length == EDID_SIZE * 2 ? 0 : -EINVAL;
}

static const NodeOps edid_text_ops = { .store = store_edid_text };

static void add_port(Node *parent, unsigned index, bool is_virtual)
{
        g_autofree char *name = g_strdup_printf("PORT_%c", 'A' + (int)index);
        Node *port = node_add_directory(parent, name);

        node_add_text(port, "connection", 0660, &ignored_ops, index == 0 ? "connected\n" : "disconnected\n");
        node_add_text(port, "edid", 0660, &ignored_ops, "");
        node_add_text(port, "type", 0660, &ignored_ops, index == 0 ? "VGT_DP_A\n" : "VGT_PORT_MAX\n");

        if (is_virtual) {
                node_add_format(port, "port_override", 0660, "%s\n", name);
                node_add_text(port, "pipe", 0440, NULL, index == 0 ? "PIPE_EDP\n" : "PIPE_A\n");
                node_add_attribute(port, "edid_text", 0660, &edid_text_ops, NULL);
        } else {
                node_add_text(port, "presence", 0440, NULL, index == 0 ? "present\n" : "unpresent\n");
        }
}

static void add_vm_directory(Vgt *vgt)
{
        g_autofree char *name = g_strdup_printf("vm%u", vgt->vm_id);
        Node *directory = node_add_directory(root, name);
        guint64 start = vgt->low_start * BYTES_PER_MB, low = vgt->low_mib * BYTES_PER_MB,
                all = (vgt->low_mib + vgt->high_mib) * BYTES_PER_MB;

        vgt->directory = directory;
        node_add_format(directory, "vgt_id", 0444, "%x\n", vgt->vgt_id);
        node_add_format(directory, "gm_sz", 0444, "%016" G_GINT64_MODIFIER "x\n", all);
        node_add_format(directory, "aperture_sz", 0444, "%016" G_GINT64_MODIFIER "x\n", low);
        node_add_format(directory, "aperture_base", 0444, "%016" G_GINT64_MODIFIER "x\n",
                        (guint64)(APERTURE + start));
        node_add_format(directory, "aperture_base_va", 0444, "%016" G_GINT64_MODIFIER "x\n",
                        (guint64)(0xffffc90000000000ULL + start));
        node_add_attribute(directory, "schedule", 0444, &schedule_ops, vgt);
        node_add_attribute(directory, "start", 0200, &start_ops, vgt);
        node_add_text(directory, "vgpu_hw_utilization", 0444, NULL, "0\n");
        /* Reading "state" takes a snapshot of the guest, which no program under test needs. */
        node_add_attribute(directory, "state", 0660, &forbidden_ops, NULL);
        node_add_attribute(directory, "dirty_bitmap", 0660, &forbidden_ops, NULL);

        for (unsigned i = 0; i < PORTS; i++)
                add_port(directory, i, true);
}

static Node *find_backend(unsigned domain)
{
        g_autofree char *path = g_strdup_printf("devices/console-%u-0", domain);

        return node_find(device_sys(), path);
}

int xengt_set_domain(unsigned domain, bool exists)
{
        g_autofree char *name = g_strdup_printf("console-%u-0", domain);
        Node *sys, *bus, *backend;
        int r = 0;

        tree_lock();
        sys = device_sys();
        bus = node_find(sys, "bus/xen-backend/devices");
        backend = find_backend(domain);

        if (!bus)
                r = -ENODEV;
        else if (!exists == !backend)
                r = exists ? -EEXIST : -ESRCH;
        else if (exists)
                node_add_link(bus, name, node_add_directory(node_make_path(sys, "devices"), name));
        else {
                node_remove_child(bus, name);
                node_remove(backend);
        }

        tree_unlock();

        return r;
}

/* The driver calls hypervisor_hvm_init() last, so it refuses a vGPU without a Xen domain (EFAULT) only after
 * the allocation. */
static int create_locked(const Vgt *wanted)
{
        unsigned id = 1;
        Vgt *vgt;
        int r;

        if (find_vm(wanted->vm_id))
                return -EINVAL;

        while (id < VGT_MAX && vgts[id])
                id++;
        if (id == VGT_MAX)
                return -ENOSPC;

        vgt = g_memdup2(wanted, sizeof(*wanted));
        vgt->vgt_id = id;

        r = xengt_allocate(vgt);
        if (r >= 0 && !find_backend(vgt->vm_id)) {
                xengt_mark(vgt, 0);
                r = -EFAULT;
        }

        if (r < 0) {
                g_free(vgt);
                return r;
        }

        vgts[id] = vgt;
        add_vm_directory(vgt);

        return 0;
}

static int destroy_locked(unsigned vm_id)
{
        Vgt *vgt = find_vm(vm_id);

        if (!vgt)
                return -ENODEV;

        vgts[vgt->vgt_id] = NULL;
        xengt_mark(vgt, 0);
        node_remove(vgt->directory);
        g_free(vgt);

        return 0;
}

/* "vmid,low,high,fences[,primary[,cap]]" or "-vmid". The driver scans only one word. */
static int xengt_store_create(Node *node, const char *bytes, size_t length)
{
        char word[64];
        int vm_id, low, high, fences, primary = -1, cap = 0, fields, r;

        if (sscanf(bytes, "%63s", word) != 1)
                return -EINVAL;

        fields = sscanf(word, "%d,%d,%d,%d,%d,%d", &vm_id, &low, &high, &fences, &primary, &cap);
        if (fields == 1 ? vm_id >= 0 : fields < 4)
                return -EINVAL;
        if (fields > 1 && (vm_id <= 0 || low <= 0 || high < 0 || fences <= 0 || primary < -1 || primary > 1 ||
                           cap < 0 || cap > 100))
                return -EINVAL;

        tree_lock();
        if (fields == 1) {
                r = destroy_locked((unsigned)-vm_id);
        } else {
                Vgt wanted = { .vm_id = (unsigned)vm_id,
                               .low_mib = (unsigned)low,
                               .high_mib = (unsigned)high,
                               .fences = (unsigned)fences };

                r = create_locked(&wanted);
        }

        tree_unlock();

        return r;
}

static const NodeOps create_ops = { .store = xengt_store_create };

static int store_foreground(Node *node, const char *bytes, size_t length)
{
        int vm_id, r = 0;
        const Vgt *vgt;

        if (sscanf(bytes, "%d", &vm_id) != 1)
                return -EINVAL;

        tree_lock();
        vgt = vm_id > 0 ? find_vm((unsigned)vm_id) : NULL;
        if (vm_id != 0 && !vgt)
                r = -ENODEV;
        else if (vgt && !vgt->scheduled)
                r = -EAGAIN; /* the guest's display is not ready */
        else {
                g_autofree char *line = g_strdup_printf("%d\n", vm_id);

                node_set_text(node, line);
        }

        tree_unlock();

        return r;
}

static const NodeOps foreground_ops = { .store = store_foreground };

static int store_number(Node *node, const char *bytes, size_t length)
{
        int value;

        return sscanf(bytes, "%d", &value) == 1 ? 0 : -EINVAL;
}

static const NodeOps number_ops = { .store = store_number };

static void add_control(Node *directory)
{
        node_add_attribute(directory, "create_vgt_instance", 0220, &create_ops, NULL);
        node_add_attribute(directory, "available_resource", 0440, &available_ops, NULL);
        node_add_text(directory, "display_owner", 0660, &number_ops, "0\n");
        node_add_text(directory, "foreground_vm", 0660, &foreground_ops, "0\n");
        node_add_text(directory, "ctx_switch", 0660, &number_ops, "VGT context switch: enabled\n");
        node_add_text(directory, "validate_ctx_switch", 0660, &number_ops,
                      "VGT check mmio restore: disabled\n");
        node_add_text(directory, "virtual_event", 0660, &number_ops, "== README ==\n");
        node_add_text(directory, "display_switch_method", 0660, &number_ops,
                      "VGT display_owner switch: using the fast-path method. (write 0 to use the slow-path method)\n");
        /* The registers of the running GPU. */
        node_add_attribute(directory, "igd_mmio", 0660, &forbidden_ops, NULL);

        for (unsigned i = 0; i < PORTS; i++)
                add_port(directory, i, false);
}

static const GpuOps gpu_ops = { .driver = "i915", .has_drm = true };

static void xengt_build(const ModelOptions *options)
{
        static const PciSpec spec = {
                .address = "0000:00:02.0",
                .bridge = "pci0000:00",
                .vendor = 0x8086,
                .device = 0x0412,
                .subsystem_vendor = 0x8086,
                .subsystem_device = 0x2211,
                .class = 0x030000,
                .revision = 6,
                .numa_node = -1,
                .is_display = true,
        };
        static const Vgt host = { .low_mib = HOST_LOW_MIB, .high_mib = HOST_HIGH_MIB, .fences = HOST_FENCES };

        xengt_mark(&host, 1);
        memset(gm_used + LOW_MIB, 1, HOST_HIGH_MIB);
        memset(slot_used, 1, slots_for(HOST_HIGH_MIB));
        memset(gm_used + LOW_MIB - HOST_RESERVE_MIB, 1, HOST_RESERVE_MIB);
        root = node_make_path(device_sys(), "kernel/vgt");
        add_control(node_add_directory(root, "control"));
        node_add_text(node_make_path(device_sys(), "hypervisor"), "type", 0444, NULL, "xen\n");
        node_make_path(device_sys(), "bus/xen-backend/devices");
        (void)gpu_plug(gpu_new(&spec, &gpu_ops, 0, 0, 0, 0));
}

const Model model_xengt = {
        .name = "xengt",
        .summary = "Intel GPU with XenGT: 0000:00:02.0 and /sys/kernel/vgt, up to 7 vGPUs",
        .build = xengt_build,
};
