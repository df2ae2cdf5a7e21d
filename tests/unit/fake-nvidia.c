/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A fake NVIDIA GPU has no lock, because only one thread at a time uses it. */

#include "fake-nvidia.h"

#include <inttypes.h>
#include <signal.h>
#include <string.h>

#include "base/parse-util.h"
#include "base/pci-addr.h"
#include "drivers-glue/nvidia/nvml-text.h"

typedef struct Type {
        unsigned id;
        const char *name;
        unsigned size_mb;
        bool mig;
} Type;

struct FakeVf {
        FakeNvidia *gpu;
        char *name, *path, *node;
        unsigned type;
};

#define GB(n) ((n)*1024)

static const Type l40s[] = {
        { 1145, "NVIDIA L40S-1B", GB(1), false },   { 1146, "NVIDIA L40S-2B", GB(2), false },
        { 1147, "NVIDIA L40S-1Q", GB(1), false },   { 1148, "NVIDIA L40S-2Q", GB(2), false },
        { 1149, "NVIDIA L40S-3Q", GB(3), false },   { 1150, "NVIDIA L40S-4Q", GB(4), false },
        { 1151, "NVIDIA L40S-6Q", GB(6), false },   { 1152, "NVIDIA L40S-8Q", GB(8), false },
        { 1153, "NVIDIA L40S-12Q", GB(12), false }, { 1154, "NVIDIA L40S-16Q", GB(16), false },
        { 1155, "NVIDIA L40S-24Q", GB(24), false }, { 1156, "NVIDIA L40S-48Q", GB(48), false },
        { 1157, "NVIDIA L40S-1A", GB(1), false },   { 1158, "NVIDIA L40S-2A", GB(2), false },
        { 1159, "NVIDIA L40S-3A", GB(3), false },   { 1160, "NVIDIA L40S-4A", GB(4), false },
        { 1161, "NVIDIA L40S-6A", GB(6), false },   { 1162, "NVIDIA L40S-8A", GB(8), false },
        { 1163, "NVIDIA L40S-12A", GB(12), false }, { 1164, "NVIDIA L40S-16A", GB(16), false },
        { 1165, "NVIDIA L40S-24A", GB(24), false }, { 1166, "NVIDIA L40S-48A", GB(48), false },
        { 2164, "NVIDIA L40S-3B", GB(3), false },
};

static const Type h200[] = {
        { 1414, "NVIDIA H200X-1-18C", GB(18), true },
        { 1428, "NVIDIA H200X-141C", GB(141), false },
};

static const Type *find_type(const FakeNvidia *g, unsigned id)
{
        const Type *types = g->types;

        for (unsigned i = 0; i < g->n_types; i++)
                if (types[i].id == id)
                        return &types[i];

        return NULL;
}

static const FakeVf *vf_at(const FakeNvidia *g, unsigned n)
{
        g_assert(n < g->vfs->len);
        return g->vfs->pdata[n];
}

/* True if the driver can create the type on a free VF. */
static bool is_creatable(const FakeNvidia *g, const Type *t)
{
        unsigned n = 0, used_mb = 0, slices = 0;

        for (guint i = 0; i < g->vfs->len; i++) {
                const Type *other = find_type(g, vf_at(g, i)->type);

                if (!other)
                        continue;

                if (!g->heterogeneous && !g->mig && other->size_mb != t->size_mb)
                        return false;

                n++;
                used_mb += other->size_mb;
                slices += other->mig;
        }

        if (t->mig || g->mig)
                return t->mig && g->mig && slices < g->gpu_instances;

        return n < g->n_vfs && used_mb + t->size_mb <= g->framebuffer_mb;
}

static int show_creatable(FakeKernel *k, const char *path, void *data, char **ret)
{
        const FakeVf *vf = data;
        const Type *types = vf->gpu->types;
        GString *text = g_string_new("ID    : vGPU Name\n");

        for (unsigned i = 0; vf->type == 0 && i < vf->gpu->n_types; i++)
                if (is_creatable(vf->gpu, &types[i]))
                        g_string_append_printf(text, "%-5u : %s\n", types[i].id, types[i].name);

        *ret = g_string_free(text, FALSE);

        return 0;
}

static int show_current(FakeKernel *k, const char *path, void *data, char **ret)
{
        *ret = g_strdup_printf("%u\n", ((const FakeVf *)data)->type);
        return 0;
}

static int store_current(FakeKernel *k, const char *path, void *data, const char *value)
{
        FakeVf *vf = data;
        FakeNvidia *g = vf->gpu;
        uint32_t id;
        int r = parse_u32(value, 10, &id);

        if (r < 0)
                return r;

        if (id == 0) {
                if (vf->type == 0 || fake_node_is_held(k, vf->node))
                        return -EPERM;

                if (g->plugin_pauses > 0)
                        return -g->plugin_errno;

                vf->type = 0;
                return 0;
        }

        if (vf->type != 0)
                return -EPERM;

        if (!find_type(g, id))
                return -EINVAL;

        if (!is_creatable(g, find_type(g, id)))
                return -EIO;

        vf->type = id;

        return 0;
}

static int show_id(FakeKernel *k, const char *path, void *data, char **ret)
{
        if (((const FakeVf *)data)->type == 0)
                return -ENXIO;

        *ret = g_strdup("Not Applicable\n");

        return 0;
}

/* VFs */

static void vf_free(gpointer p)
{
        FakeVf *vf = p;

        g_free(vf->name);
        g_free(vf->path);
        g_free(vf->node);
        g_free(vf);
}

static void add_file(const FakeNvidia *g, const char *directory, const char *name, const char *text)
{
        g_autofree char *path = g_strdup_printf("%s/%s", directory, name);

        fake_add_file(g->k, path, text);
}

static void add_link(const FakeNvidia *g, const char *directory, const char *name, const char *target)
{
        g_autofree char *path = g_strdup_printf("%s/%s", directory, name);

        fake_add_link(g->k, path, target);
}

static void add_attribute(FakeVf *vf, const char *name, FakeShow show, FakeStore store)
{
        g_autofree char *path = g_strdup_printf("%s/nvidia/%s", vf->path, name);

        fake_add_attribute(vf->gpu->k, path, show, store, vf);
}

static void add_folder(FakeVf *vf)
{
        g_autofree char *parameters = g_strconcat(vf->path, "/nvidia/vgpu_params", NULL);

        add_attribute(vf, "current_vgpu_type", show_current, store_current);
        add_attribute(vf, "creatable_vgpu_types", show_creatable, NULL);
        add_attribute(vf, "placement_id", show_id, NULL);
        add_attribute(vf, "gpu_instance_id", show_id, NULL);
        fake_add_parameters(vf->gpu->k, parameters);
}

static void on_paused(FakeKernel *k, void *data)
{
        FakeNvidia *g = data;

        if (g->plugin_pauses > 0)
                g->plugin_pauses--;
        if (g->manager_pauses == 0 || --g->manager_pauses > 0)
                return;

        for (guint i = 0; i < g->vfs->len; i++)
                add_folder(g->vfs->pdata[i]);
}

static void add_vf(FakeNvidia *g, unsigned n)
{
        g_autofree char *parent = g_path_get_dirname(g->path), *link = g_strdup_printf("virtfn%u", n);
        g_autofree char *group = g_strdup_printf("kernel/iommu_groups/%u", g->group + n);
        g_autofree char *cdev = g_strdup_printf("vfio-dev/vfio%u/dev", n);
        FakeVf *vf = g_new0(FakeVf, 1);
        char text[PCI_ADDR_STRLEN];
        PciAddr a;

        g_assert(pci_addr_parse(g->name, &a) >= 0);
        a.device = (uint8_t)((4 + n) / 8);
        a.function = (uint8_t)((4 + n) % 8);
        vf->gpu = g;
        vf->name = g_strdup(pci_addr_format(&a, text));
        vf->path = g_strdup_printf("%s/%s", parent, vf->name);
        vf->node = g_strdup_printf("vfio/%u", g->group + n);
        g_ptr_array_add(g->vfs, vf);
        add_link(g, g->path, link, vf->path);
        add_file(g, vf->path, "uevent", "");
        add_file(g, vf->path, "driver_override", "(null)\n");
        add_link(g, vf->path, "physfn", g->path);
        add_link(g, vf->path, "subsystem", "bus/pci");
        add_link(g, vf->path, "driver", "bus/pci/drivers/nvidia");
        fake_add_directory(g->k, group);
        add_link(g, vf->path, "iommu_group", group);
        add_file(g, vf->path, cdev, "511:0\n");
        fake_add_node(g->k, vf->node);

        if (g->manager_pauses == 0)
                add_folder(vf);
}

static void remove_vfs(FakeNvidia *g)
{
        for (guint i = 0; i < g->vfs->len; i++) {
                const FakeVf *vf = vf_at(g, i);
                g_autofree char *link = g_strdup_printf("%s/virtfn%u", g->path, i);

                fake_remove(g->k, link);
                fake_remove(g->k, vf->path);
                fake_remove_node(g->k, vf->node);
        }

        g_ptr_array_set_size(g->vfs, 0);
}

void fake_nvidia_enable(FakeNvidia *g, bool enable)
{
        g_autofree char *count = g_strdup_printf("%u\n", enable ? g->n_vfs : 0);

        remove_vfs(g);
        g->enabled = enable;
        g->heterogeneous = false;
        add_file(g, g->path, "sriov_numvfs", count);

        for (unsigned i = 0; enable && i < g->n_vfs; i++)
                add_vf(g, i);
}

/* systemctl */

static bool names_unit(const char *const *arguments, const char *prefix)
{
        for (; *arguments; arguments++)
                if (g_str_has_prefix(*arguments, prefix))
                        return true;

        return false;
}

static int set_mode(FakeNvidia *g, bool heterogeneous, bool value)
{
        if (g->nvml_set_code != 0)
                return g->nvml_set_code;
        if (g->nvml_set_does_nothing)
                return 0;

        if (heterogeneous)
                g->heterogeneous = value;
        else {
                g->mig_pending = value;
                if (g->nvml_activation != 0)
                        return VGPUD_NVML_PENDING + g->nvml_activation;

                g->mig = value;
        }

        return 0;
}

static int start_nvml(FakeNvidia *g, const char *unit)
{
        int r = set_mode(g, g_str_has_prefix(unit, "vgpud-nvml@set\\x2dheterogeneous-"),
                         g_str_has_suffix(unit, "-1.service"));

        g->nvml_exit_status = g->nvml_unit_status != 0 ? g->nvml_unit_status : r;

        return g->nvml_exit_status != 0;
}

static char *show_property(const FakeNvidia *g, const char *const *arguments)
{
        bool is_nvml = names_unit(arguments, "vgpud-nvml@");

        if (names_unit(arguments, "--property=LoadState"))
                return g_strdup(g->sriov_unit_missing ? "not-found\n" : "loaded\n");
        if (names_unit(arguments, "--property=ExecMainCode"))
                return g_strdup_printf("%d\n", is_nvml && g->nvml_unit_code ? g->nvml_unit_code : CLD_EXITED);
        if (!names_unit(arguments, "--property=ExecMainStatus"))
                return g_strdup("exit-code\n");

        return g_strdup_printf("%d\n", is_nvml ? g->nvml_exit_status : g->sriov_missing ? 69 : 1);
}

static int run_systemctl(FakeKernel *k, const char *const *arguments, void *data, char **ret_output)
{
        FakeNvidia *g = data;
        g_autofree char *enable = g_strdup_printf("vgpud-sriov@enable-%s.service", g->name);
        g_autofree char *disable = g_strdup_printf("vgpud-sriov@disable-%s.service", g->name);

        if (strcmp(arguments[0], "start") == 0) {
                if (g->sriov_unit_missing)
                        return 5;
                if (g->sriov_missing)
                        return 1;

                if (names_unit(arguments, "vgpud-nvml@"))
                        return start_nvml(g, arguments[3]) != 0;

                g_assert(names_unit(arguments, enable) || names_unit(arguments, disable));
                if (g->sriov_failures > 0) {
                        g->sriov_failures--;
                        return 1;
                }

                fake_nvidia_enable(g, names_unit(arguments, enable));
                return 0;
        }

        if (strcmp(arguments[0], "show") == 0) {
                *ret_output = show_property(g, arguments);
                return 0;
        }

        g_assert(strcmp(arguments[0], "status") == 0);
        *ret_output = g_strdup_printf("\303\227 %s - Virtual functions of an NVIDIA GPU\n"
                                      "     Active: failed (Result: exit-code)\n"
                                      "\n"
                                      "Starting Virtual functions of an NVIDIA GPU...\n"
                                      "Cannot obtain unbindLock for %s\n"
                                      "%s: Failed with result 'exit-code'.\n",
                                      enable, g->name, enable);

        return 3;
}

/* vgpud-nvml */

static char *answer_query(const FakeNvidia *g)
{
        const Type *types = g->types;
        GString *text = g_string_new("virtualization-mode=3\nhost-vgpu-mode=1\n");

        if (g->nvml_knows_nothing)
                return g_string_free(g_string_assign(text, "end\n"), FALSE);

        /* Like NVIDIA's library, report less memory than the types of the GPU can share. */
        g_string_append_printf(text,
                               "heterogeneous=%d\nmig=%d\nmig-pending=%d\nminor=3\nframebuffer=%" PRIu64 "\n",
                               g->heterogeneous, g->mig, g->mig_pending, (g->framebuffer_mb - 3072) << 20);
        for (unsigned i = 0; i < g->n_types; i++)
                g_string_append_printf(
                                text,
                                "type=%u\ntype.name=%s\ntype.class=Quadro\ntype.framebuffer=%" PRIu64
                                "\ntype.heads=4\ntype.resolution=7680x4320\ntype.frame-rate-limit=60\n%stype.max-instances=%" PRIu64
                                "\n",
                                types[i].id, types[i].name, (uint64_t)types[i].size_mb << 20,
                                types[i].mig ? "type.gpu-instance-profile=19\n" : "",
                                MIN(g->framebuffer_mb / types[i].size_mb, g->n_vfs));

        if (g->mig && !g->nvml_hides_gpu_instances)
                g_string_append_printf(text, "gpu-instances=19:%u\n", g->gpu_instances);
        g_string_append(text, "end\n");

        return g_string_free(text, FALSE);
}

static int run_nvml(FakeKernel *k, const char *const *arguments, void *data, char **ret_output)
{
        FakeNvidia *g = data;

        g_assert(strcmp(arguments[1], g->name) == 0);

        if (strcmp(arguments[0], "query") == 0) {
                *ret_output = answer_query(g);
                return 0;
        }

        if (g->nvml_set_needs_unit)
                return 4;

        return set_mode(g, strcmp(arguments[0], "set-heterogeneous") == 0, strcmp(arguments[2], "1") == 0);
}

void fake_nvidia_add_nvml(FakeNvidia *g)
{
        fake_add_node(g->k, "nvidiactl");
        fake_set_program(g->k, VGPU_PROGRAM_NVML, run_nvml, g);
}

/* The GPU */

static FakeNvidia *gpu_new(FakeKernel *k, const char *address, const Type *types, unsigned n_types,
                           unsigned n_vfs, unsigned framebuffer_gb, const char *device)
{
        FakeNvidia *g = g_new0(FakeNvidia, 1);
        g_autofree char *total = g_strdup_printf("%u\n", n_vfs);

        *g = (FakeNvidia){ .k = k,
                           .name = g_strdup(address),
                           .path = g_strdup_printf("devices/pci0000:3a/0000:3a:00.0/%s", address),
                           .types = types,
                           .n_types = n_types,
                           .n_vfs = n_vfs,
                           .framebuffer_mb = GB(framebuffer_gb),
                           .group = 100,
                           .plugin_errno = EBUSY,
                           .vfs = g_ptr_array_new_with_free_func(vf_free) };
        add_file(g, g->path, "uevent", "");
        add_file(g, g->path, "vendor", "0x10de\n");
        add_file(g, g->path, "device", device);
        add_file(g, g->path, "class", "0x030200\n");
        add_file(g, g->path, "sriov_totalvfs", total);
        add_link(g, g->path, "subsystem", "bus/pci");
        add_link(g, g->path, "driver", "bus/pci/drivers/nvidia");
        fake_add_directory(k, "module/nvidia_vgpu_vfio");
        fake_set_program(k, VGPU_PROGRAM_SYSTEMCTL, run_systemctl, g);
        fake_on_pause(k, on_paused, g);

        return g;
}

FakeNvidia *fake_add_l40s(FakeKernel *k, const char *address, bool enabled)
{
        FakeNvidia *g = gpu_new(k, address, l40s, G_N_ELEMENTS(l40s), 32, 48, "0x26b9\n");

        fake_nvidia_enable(g, enabled);

        return g;
}

FakeNvidia *fake_add_h200(FakeKernel *k, const char *address, bool enabled)
{
        FakeNvidia *g = gpu_new(k, address, h200, G_N_ELEMENTS(h200), 16, 141, "0x2335\n");

        fake_nvidia_enable(g, enabled);

        return g;
}

FakeNvidia *fake_nvidia_free(FakeNvidia *g)
{
        if (!g)
                return NULL;

        g_ptr_array_unref(g->vfs);
        g_free(g->name);
        g_free(g->path);
        g_free(g);

        return NULL;
}

GpuFacts *fake_nvidia_facts(FakeNvidia *g)
{
        VgpuIo *io = fake_kernel_io(g->k);
        GpuFacts *f = NULL;

        g_assert(gpu_facts_read(io, &(GpuSeed){ .name = g->name, .path = g->path }, NULL, &f) >= 0);
        vgpu_io_free(io);

        return f;
}

void fake_nvidia_unready(FakeNvidia *g, unsigned n, const char *driver)
{
        const FakeVf *vf = vf_at(g, n);
        g_autofree char *folder = g_strconcat(vf->path, "/nvidia", NULL);
        g_autofree char *link = g_strconcat(vf->path, "/driver", NULL);
        g_autofree char *target = g_strdup_printf("bus/pci/drivers/%s", driver ? driver : "");

        fake_remove(g->k, folder);
        fake_remove(g->k, link);

        if (driver)
                fake_add_link(g->k, link, target);
}

void fake_nvidia_set(FakeNvidia *g, unsigned n, unsigned type)
{
        ((FakeVf *)g->vfs->pdata[n])->type = type;
}

const char *fake_nvidia_vf_name(FakeNvidia *g, unsigned n)
{
        return vf_at(g, n)->name;
}

const char *fake_nvidia_vf_path(FakeNvidia *g, unsigned n)
{
        return vf_at(g, n)->path;
}

const char *fake_nvidia_node(FakeNvidia *g, unsigned n)
{
        return vf_at(g, n)->node;
}
