/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The integrated GPU of an Alder Lake desktop with Intel's out-of-tree i915 for SR-IOV. The resources of
 * virtual functions are set below drm/cardN/prelim_iov/: bytes of the global graphics address space (GGTT),
 * contexts and doorbells. Enabling divides all three equally as long as provisioning is automatic. Any number
 * set by hand, even while functions are enabled, switches automatic provisioning off, until 1 is written to
 * pf/auto_provisioning. While it is off, functions are enabled with the numbers they have, even 0. Numbers set
 * by hand before enabling stay after disabling.
 *
 * Read-only and write-only files have the mode 0644 all the same; the missing direction fails with EIO. The
 * functions that comments name are those of i915.
 */

#include "simhost/model.h"

#include <errno.h>
#include <string.h>

#define VFS_MAX 7
#define MIB     (1024ULL * 1024)

enum { GGTT, CONTEXTS, DOORBELLS, _RESOURCE_MAX };

/* Resources for all virtual functions together, and the granularity of each. */
static const struct {
        const char *name;
        guint64 total;
        guint64 granule;
} resources[_RESOURCE_MAX] = {
        [GGTT] = { "ggtt", 3840 * MIB, 64 * 1024 },
        [CONTEXTS] = { "contexts", 64512, 128 },
        [DOORBELLS] = { "doorbells", 240, 1 },
};

typedef struct IovFunction {
        GpuFunction *function;
        guint64 quota[_RESOURCE_MAX];
} IovFunction;

typedef struct IovGpu {
        Gpu *gpu;
        bool automatic;  /* auto_provisioning */
        bool shared_out; /* the quotas were assigned automatically (auto_mode) */
        IovFunction functions[1 + VFS_MAX];
} IovGpu;

static IovGpu state;

static guint64 iov_resource_left(int resource)
{
        guint64 used = 0;

        for (unsigned i = 1; i <= VFS_MAX; i++)
                used += state.functions[i].quota[resource];

        return resources[resource].total - used;
}

/* pf_validate_config(): returns 1 if the VF is provisioned fully, 0 if not at all, else -ENOKEY. Doorbells are
 * optional. */
static int iov_validate(const IovFunction *iov)
{
        if (iov->quota[GGTT] > 0 && iov->quota[CONTEXTS] > 0)
                return 1;

        return iov->quota[GGTT] > 0 || iov->quota[CONTEXTS] > 0 || iov->quota[DOORBELLS] > 0 ? -ENOKEY : 0;
}

/* intel_iov_provisioning_verify(): returns 1 if some VFs are provisioned fully and the others not at all, 0 if
 * no VF is provisioned. */
static int iov_verify(unsigned count)
{
        int result = 0;

        for (unsigned i = 1; i <= count; i++) {
                int r = iov_validate(&state.functions[i]);

                if (r < 0)
                        return r;

                result |= r;
        }

        return result;
}

static int store_quota(Node *node, const char *bytes, int resource)
{
        IovFunction *iov = node->data;
        guint64 granule = resources[resource].granule, value, most;
        int r = kernel_parse_unsigned(bytes, resource == GGTT ? G_MAXUINT64 : G_MAXUINT16, &value);
        bool changes;

        if (r < 0)
                return r;

        if (resource == GGTT && value > G_MAXUINT64 - granule)
                return -EOVERFLOW;

        value = (value + granule - 1) / granule * granule;
        changes = value > 0 || iov->quota[resource] > 0;
        /* A failed increase loses the quota the VF had. */
        most = iov_resource_left(resource) + iov->quota[resource];
        iov->quota[resource] = 0;

        if (value > most)
                return resource == GGTT && value > resources[GGTT].total ? -E2BIG : -EDQUOT;

        iov->quota[resource] = value;
        if (changes)
                state.automatic = false; /* pf_mark_manual_provisioning() */

        return 0;
}

static int show_number(GString *text, guint64 number)
{
        g_string_append_printf(text, "%" G_GUINT64_FORMAT "\n", number);
        return 0;
}

#define RESOURCE_FILES(name, resource)                                                        \
        static int show_##name##_quota(Node *node, GString *text)                             \
        {                                                                                     \
                return show_number(text, ((const IovFunction *)node->data)->quota[resource]); \
        }                                                                                     \
        static int store_##name##_quota(Node *node, const char *bytes, size_t length)         \
        {                                                                                     \
                return store_quota(node, bytes, resource);                                    \
        }                                                                                     \
        static int show_##name##_left(Node *node, GString *text)                              \
        {                                                                                     \
                return show_number(text, iov_resource_left(resource));                        \
        }

RESOURCE_FILES(ggtt, GGTT)
RESOURCE_FILES(contexts, CONTEXTS)
RESOURCE_FILES(doorbells, DOORBELLS)

static const NodeOps quota_ops[_RESOURCE_MAX] = {
        [GGTT] = { .show = show_ggtt_quota, .store_locked = store_ggtt_quota },
        [CONTEXTS] = { .show = show_contexts_quota, .store_locked = store_contexts_quota },
        [DOORBELLS] = { .show = show_doorbells_quota, .store_locked = store_doorbells_quota },
};

static const NodeOps left_ops[_RESOURCE_MAX] = {
        [GGTT] = { .show = show_ggtt_left },
        [CONTEXTS] = { .show = show_contexts_left },
        [DOORBELLS] = { .show = show_doorbells_left },
};

/* Spares, policies and thresholds: numbers without effect here. */
static int i915_store_u32(Node *node, const char *bytes, size_t length)
{
        g_autofree char *line = NULL;
        guint64 value;
        int r = kernel_parse_unsigned(bytes, G_MAXUINT32, &value);

        if (r < 0)
                return r;

        line = g_strdup_printf("%" G_GUINT64_FORMAT "\n", value);
        node_set_text(node, line);

        return 0;
}

static const NodeOps u32_ops = { .store_locked = i915_store_u32 };

/* Scheduling of a virtual function, handled like a quota. */
static int store_scheduling(Node *node, const char *bytes, size_t length)
{
        guint64 value;
        int r = i915_store_u32(node, bytes, length);

        if (r >= 0 && kernel_parse_unsigned(bytes, G_MAXUINT32, &value) >= 0 && value > 0)
                state.automatic = false;

        return r;
}

static const NodeOps scheduling_ops = { .store_locked = store_scheduling };

static int show_automatic(Node *node, GString *text)
{
        return show_number(text, state.automatic);
}

static int store_automatic(Node *node, const char *bytes, size_t length)
{
        bool yes;

        if (kernel_parse_bool(bytes, &yes) < 0)
                return -EINVAL;

        if (yes && !state.automatic && iov_verify(VFS_MAX) != 0)
                return -ESTALE;

        state.automatic = yes;

        return 0;
}

static const NodeOps automatic_ops = { .show = show_automatic, .store_locked = store_automatic };

static int store_control(Node *node, const char *bytes, size_t length)
{
        static const char *const words[] = { "stop", "pause", "resume", "clear" };
        const IovFunction *iov = node->data;
        g_autofree char *word = g_strndup(bytes, strcspn(bytes, "\n"));

        for (size_t i = 0; i < G_N_ELEMENTS(words); i++)
                if (g_str_equal(words[i], word))
                        return iov->function->device ? 0 : -ENODEV;

        return -EINVAL;
}

static const NodeOps control_ops = { .store_locked = store_control };

static void add_numbers(Node *directory, const char *const *names, const NodeOps *ops)
{
        for (; *names; names++)
                node_add_text(directory, *names, 0644, ops, "0\n");
}

static void add_physical_files(Node *iov)
{
        static const char *const scheduling[] = { "exec_quantum_ms", "preempt_timeout_us", "ggtt_spare",
                                                  "contexts_spare",  "doorbells_spare",    NULL };
        static const char *const policies[] = { "sched_if_idle", "engine_reset", "sample_period_ms", NULL };
        Node *directory = node_add_directory(iov, "pf"), *gt = node_add_directory(directory, "gt0"),
             *available = node_add_directory(gt, "available");

        node_add_attribute(directory, "auto_provisioning", 0644, &automatic_ops, &state);
        node_add_link(directory, "device", state.gpu->functions[0].device->directory);
        add_numbers(gt, scheduling, &u32_ops);
        add_numbers(node_add_directory(gt, "policies"), policies, &u32_ops);

        for (int i = 0; i < _RESOURCE_MAX; i++) {
                g_autofree char *free_name = g_strdup_printf("%s_free", resources[i].name);
                g_autofree char *most_name = g_strdup_printf("%s_max_quota", resources[i].name);

                node_add_attribute(available, free_name, 0644, &left_ops[i], &state);
                node_add_attribute(available, most_name, 0644, &left_ops[i], &state);
        }
}

static void add_virtual_files(Node *iov, unsigned number)
{
        static const char *const scheduling[] = { "exec_quantum_ms", "preempt_timeout_us", NULL };
        static const char *const thresholds[] = { "cat_error_count",
                                                  "engine_reset_count",
                                                  "page_fault_count",
                                                  "h2g_time_us",
                                                  "irq_time_us",
                                                  "doorbell_time_us",
                                                  NULL };
        g_autofree char *name = g_strdup_printf("vf%u", number);
        Node *directory = node_add_directory(iov, name), *gt = node_add_directory(directory, "gt0");

        node_add_format(directory, "id", 0644, "%u\n", number);
        node_add_attribute(directory, "control", 0644, &control_ops, &state.functions[number]);
        add_numbers(gt, scheduling, &scheduling_ops);
        add_numbers(node_add_directory(gt, "threshold"), thresholds, &u32_ops);

        for (int i = 0; i < _RESOURCE_MAX; i++) {
                g_autofree char *quota_name = g_strdup_printf("%s_quota", resources[i].name);

                node_add_attribute(gt, quota_name, 0644, &quota_ops[i], &state.functions[number]);
        }
}

static Node *card_directory(void)
{
        const GPtrArray *drm = state.gpu->functions[0].drm;

        return ((const Device *)drm->pdata[drm->len - 1])->directory;
}

static int i915_bind(GpuFunction *function)
{
        Node *iov;

        if (function->index > 0)
                return 0;

        iov = node_add_directory(card_directory(), "prelim_iov");
        node_add_text(iov, "mode", 0644, NULL, "SR-IOV PF\n");
        add_physical_files(iov);
        state.automatic = true;
        state.shared_out = false;

        for (unsigned i = 0; i <= VFS_MAX; i++) {
                state.functions[i] = (IovFunction){ .function = &function->gpu->functions[i] };
                if (i > 0)
                        add_virtual_files(iov, i);
        }

        return 0;
}

/* i915_sriov_pf_enable_vfs() */
static int vfs_enable(Gpu *gpu, unsigned count)
{
        int r = iov_verify(count);

        if (r < 0)
                return r;
        if (r > 0 || !state.automatic)
                return (int)count; /* i915 calls this "trust late provisioning" */

        state.shared_out = true;
        for (int i = 0; i < _RESOURCE_MAX; i++) {
                guint64 share = resources[i].total / count / resources[i].granule * resources[i].granule;

                for (unsigned j = 1; j <= count; j++)
                        state.functions[j].quota[i] = share;
        }

        return (int)count;
}

/* pf_auto_unprovision(), which resets all quotas or none. */
static void vfs_disable(Gpu *gpu)
{
        for (unsigned i = 1; state.shared_out && i <= VFS_MAX; i++)
                memset(state.functions[i].quota, 0, sizeof(state.functions[i].quota));
        state.shared_out = false;
}

static Node *iov_directory(const GpuFunction *function)
{
        g_autofree char *path = g_strdup_printf("prelim_iov/vf%u", function->index);

        return node_find(card_directory(), path);
}

static void vf_add(GpuFunction *function)
{
        node_add_link(iov_directory(function), "device", function->device->directory);
}

static void vf_remove(GpuFunction *function)
{
        node_remove_child(iov_directory(function), "device");
}

static const GpuOps ops = {
        .driver = "i915",
        .vf_driver = "i915",
        .has_drm = true,
        .has_sriov_configure = true,
        .bind = i915_bind,
        .vfs_enable = vfs_enable,
        .vfs_disable = vfs_disable,
        .vf_add = vf_add,
        .vf_remove = vf_remove,
};

static void i915_build(const ModelOptions *options)
{
        static const PciSpec spec = {
                .address = "0000:00:02.0",
                .bridge = "pci0000:00",
                .vendor = 0x8086,
                .device = 0x4680,
                .subsystem_vendor = 0x1462,
                .subsystem_device = 0x7d25,
                .class = 0x030000,
                .revision = 0x0c,
                .numa_node = -1,
                .is_display = true,
        };
        Node *parameters = node_add_directory(device_module("i915"), "parameters");

        node_add_text(parameters, "enable_guc", 0400, NULL, "3\n");
        node_add_text(parameters, "max_vfs", 0400, NULL, "7\n");
        state.gpu = gpu_new(&spec, &ops, VFS_MAX, spec.device, 1, 1);
        (void)gpu_plug(state.gpu);
}

const Model model_i915_sriov = {
        .name = "i915-sriov",
        .summary = "Intel integrated GPU with i915 for SR-IOV (out of tree): 0000:00:02.0, up to 7 virtual functions",
        .build = i915_build,
};
