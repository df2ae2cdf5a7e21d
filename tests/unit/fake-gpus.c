/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fake-gpus.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/uuid.h"

typedef enum Model {
        MODEL_GVT_G,
        MODEL_NVIDIA,
        MODEL_MDPY,
        MODEL_MTTY,
} Model;

typedef struct Type {
        char *id, *name, *description;    /* owned; name and description may be NULL */
        unsigned size;                    /* NVIDIA: MB of framebuffer; mtty: ports */
        unsigned low_mb, high_mb, fences; /* GVT-g */
        unsigned max_instances;           /* NVIDIA */
} Type;

typedef struct Parent {
        FakeGpu *gpu;
        char *name, *path;
} Parent;

typedef struct Made {
        FakeGpu *gpu;
        Parent *parent;
        const Type *type;
        char uuid[UUID_STRLEN + 1];
        char *path, *node;
        unsigned group;
} Made;

/* The type and parent that an attribute belongs to. */
typedef struct Slot {
        Parent *parent;
        const Type *type;
} Slot;

struct FakeGpu {
        FakeKernel *k;
        Model model;
        char *name, *path;
        const char *subsystem, *driver, *instance_driver;
        pthread_mutex_t lock;
        GPtrArray *types, *parents, *made, *slots; /* owned: Type, Parent, Made, Slot */
        bool cdev, no_group_nodes, driverless;
};

static void type_free(gpointer p)
{
        Type *t = p;

        g_free(t->id);
        g_free(t->name);
        g_free(t->description);
        g_free(t);
}

static void parent_free(gpointer p)
{
        Parent *parent = p;

        g_free(parent->name);
        g_free(parent->path);
        g_free(parent);
}

static void made_free(gpointer p)
{
        Made *m = p;

        g_free(m->path);
        g_free(m->node);
        g_free(m);
}

/* The available instances that the parent reports for the type; called with the lock. */
static unsigned available(FakeGpu *g, const Parent *parent, const Type *type)
{
        unsigned low = 384, high = 1536, fences = 28, ports = 24;

        switch (g->model) {
        case MODEL_GVT_G:
                for (guint i = 0; i < g->made->len; i++) {
                        const Made *m = g->made->pdata[i];

                        low -= m->type->low_mb;
                        high -= m->type->high_mb;
                        fences -= m->type->fences;
                }

                return MIN(MIN(low / type->low_mb, high / type->high_mb), fences / type->fences);
        case MODEL_NVIDIA:
                if (g->made->len >= type->max_instances)
                        return 0;

                for (guint i = 0; i < g->made->len; i++) {
                        const Made *m = g->made->pdata[i];

                        if (m->parent == parent || m->type->size != type->size)
                                return 0;
                }

                return 1;
        case MODEL_MDPY:
                return 4 - g->made->len;
        case MODEL_MTTY:
                for (guint i = 0; i < g->made->len; i++)
                        ports -= ((const Made *)g->made->pdata[i])->type->size;
                return ports / type->size;
        }

        g_assert_not_reached();
}

static int errno_of_full(const FakeGpu *g)
{
        switch (g->model) {
        case MODEL_GVT_G:
        case MODEL_MTTY:
                return -ENOSPC;
        case MODEL_NVIDIA:
                return -EIO;
        case MODEL_MDPY:
                return -EUSERS;
        }

        g_assert_not_reached();
}

static int show_available(FakeKernel *k, const char *path, void *data, char **ret)
{
        Slot *s = data;
        FakeGpu *g = s->parent->gpu;

        pthread_mutex_lock(&g->lock);
        *ret = g_strdup_printf("%u\n", available(g, s->parent, s->type));
        pthread_mutex_unlock(&g->lock);

        return 0;
}

static char *bus_path(const char *uuid)
{
        return g_strconcat("bus/mdev/devices/", uuid, NULL);
}

static char *device_link_path(const Made *m)
{
        return g_strdup_printf("%s/mdev_supported_types/%s/devices/%s", m->parent->path, m->type->id, m->uuid);
}

static void take_away(Made *m)
{
        g_autofree char *link = bus_path(m->uuid), *type_link = device_link_path(m);

        fake_remove(m->gpu->k, link);
        fake_remove(m->gpu->k, type_link);
        fake_remove(m->gpu->k, m->path);
        fake_remove_node(m->gpu->k, m->node);
        g_ptr_array_remove(m->gpu->made, m);
}

/* Linux blocks while the device is open; the fake returns EDEADLK instead. */
static int store_remove(FakeKernel *k, const char *path, void *data, const char *value)
{
        Made *m = data;
        FakeGpu *g = m->gpu;
        int r = 0;

        if (strcmp(value, "0") == 0)
                return 0;
        if (strcmp(value, "1") != 0)
                return -EINVAL;

        pthread_mutex_lock(&g->lock);
        if (fake_node_is_held(k, m->node))
                r = -EDEADLK;
        else
                take_away(m);

        pthread_mutex_unlock(&g->lock);

        return r;
}

static void link_device(FakeGpu *g, const char *path, const char *name, const char *format, ...) _printf_(4, 5);
static void link_device(FakeGpu *g, const char *path, const char *name, const char *format, ...)
{
        g_autofree char *link = g_strdup_printf("%s/%s", path, name), *target = NULL;
        va_list ap;

        va_start(ap, format);
        target = g_strdup_vprintf(format, ap);
        va_end(ap);
        fake_add_link(g->k, link, target);
}

static void show_made(Made *m)
{
        FakeGpu *g = m->gpu;
        g_autofree char *remove_path = g_strconcat(m->path, "/remove", NULL), *link = bus_path(m->uuid);
        g_autofree char *type_link = device_link_path(m), *group = NULL;

        for (m->group = 10;; m->group++) {
                g_free(group);
                group = g_strdup_printf("kernel/iommu_groups/%u", m->group);
                if (!fake_exists(g->k, group))
                        break;
        }

        fake_add_directory(g->k, group);
        m->node = g_strdup_printf("vfio/%u", m->group);

        if (!g->no_group_nodes && !g->driverless)
                fake_add_node(g->k, m->node);
        fake_add_attribute(g->k, remove_path, NULL, store_remove, m);
        link_device(g, m->path, "subsystem", "bus/mdev");
        if (!g->driverless) {
                link_device(g, m->path, "driver", "bus/mdev/drivers/%s", g->instance_driver);
                link_device(g, m->path, "iommu_group", "%s", group);
        }

        link_device(g, m->path, "mdev_type", "%s/mdev_supported_types/%s", m->parent->path, m->type->id);
        fake_add_link(g->k, type_link, m->path);
        fake_add_link(g->k, link, m->path);

        if (g->cdev) {
                g_autofree char *node = g_strdup_printf("vfio/devices/vfio%u", m->group - 10);
                g_autofree char *dev = g_strdup_printf("%s/vfio-dev/vfio%u/dev", m->path, m->group - 10);

                fake_add_file(g->k, dev, "511:0\n");
                fake_add_node(g->k, node);
        }

        if (g->model == MODEL_NVIDIA) {
                g_autofree char *params = g_strconcat(m->path, "/nvidia/vgpu_params", NULL);
                g_autofree char *vm_name = g_strconcat(m->path, "/nvidia/vm_name", NULL);

                fake_add_parameters(g->k, params);
                fake_add_attribute(g->k, vm_name, NULL, NULL, NULL);
        }
}

static int store_create(FakeKernel *k, const char *path, void *data, const char *value)
{
        Slot *s = data;
        FakeGpu *g = s->parent->gpu;
        g_autofree char *link = NULL;
        char uuid[UUID_STRLEN + 1];
        int r = 0;

        if (uuid_normalize(value, uuid) < 0)
                return -EINVAL;

        link = bus_path(uuid);
        pthread_mutex_lock(&g->lock);

        if (fake_exists(k, link))
                r = -EEXIST;
        else if (available(g, s->parent, s->type) == 0)
                r = errno_of_full(g);
        else {
                Made *m = g_new0(Made, 1);

                m->gpu = g;
                m->parent = s->parent;
                m->type = s->type;
                memcpy(m->uuid, uuid, sizeof(uuid));
                m->path = g_strdup_printf("%s/%s", s->parent->path, uuid);
                g_ptr_array_add(g->made, m);
                show_made(m);
        }

        pthread_mutex_unlock(&g->lock);

        return r;
}

static FakeGpu *gpu_new(FakeKernel *k, Model model, const char *name, const char *path, const char *subsystem,
                        const char *driver, const char *instance_driver)
{
        FakeGpu *g = g_new0(FakeGpu, 1);

        g->k = k;
        g->model = model;
        g->name = g_strdup(name);
        g->path = g_strdup(path);
        g->subsystem = subsystem;
        g->driver = driver;
        g->instance_driver = instance_driver;
        pthread_mutex_init(&g->lock, NULL);
        g->types = g_ptr_array_new_with_free_func(type_free);
        g->parents = g_ptr_array_new_with_free_func(parent_free);
        g->made = g_ptr_array_new_with_free_func(made_free);
        g->slots = g_ptr_array_new_with_free_func(g_free);

        return g;
}

FakeGpu *fake_gpu_free(FakeGpu *g)
{
        if (!g)
                return NULL;

        g_ptr_array_unref(g->types);
        g_ptr_array_unref(g->parents);
        g_ptr_array_unref(g->made);
        g_ptr_array_unref(g->slots);
        pthread_mutex_destroy(&g->lock);
        g_free(g->name);
        g_free(g->path);
        g_free(g);

        return NULL;
}

static Type *add_type(FakeGpu *g, char *id, const char *name, char *description)
{
        Type *t = g_new0(Type, 1);

        t->id = id;
        t->name = g_strdup(name);
        t->description = description;
        g_ptr_array_add(g->types, t);

        return t;
}

static void add_type_file(FakeGpu *g, const char *path, const char *name, const char *text)
{
        g_autofree char *file = g_strdup_printf("%s/%s", path, name), *line = g_strconcat(text, "\n", NULL);

        fake_add_file(g->k, file, line);
}

/* Shows a device and everything that makes it a parent. */
static void add_parent(FakeGpu *g, char *name, char *path, bool virtual_function)
{
        g_autofree char *class_link = g_strconcat("class/mdev_bus/", name, NULL);
        Parent *p = g_new(Parent, 1);

        *p = (Parent){ .gpu = g, .name = name, .path = path };
        g_ptr_array_add(g->parents, p);
        fake_add_link(g->k, class_link, path);
        link_device(g, path, "subsystem", "%s", g->subsystem);

        if (g->driver)
                link_device(g, path, "driver", "bus/pci/drivers/%s", g->driver);
        if (virtual_function)
                link_device(g, path, "physfn", "%s", g->path);
        for (guint i = 0; i < g->types->len; i++) {
                const Type *t = g->types->pdata[i];
                g_autofree char *type_path = g_strdup_printf("%s/mdev_supported_types/%s", path, t->id);
                g_autofree char *count = g_strconcat(type_path, "/available_instances", NULL);
                g_autofree char *create = g_strconcat(type_path, "/create", NULL);
                g_autofree char *devices = g_strconcat(type_path, "/devices", NULL);
                Slot *s = g_new(Slot, 1);

                *s = (Slot){ .parent = p, .type = t };
                g_ptr_array_add(g->slots, s);

                if (t->name)
                        add_type_file(g, type_path, "name", t->name);
                if (t->description)
                        add_type_file(g, type_path, "description", t->description);
                add_type_file(g, type_path, "device_api", "vfio-pci");
                fake_add_attribute(g->k, count, show_available, NULL, s);
                fake_add_attribute(g->k, create, NULL, store_create, s);
                fake_add_directory(g->k, devices);
        }
}

static void add_pci_files(FakeGpu *g, const char *vendor, const char *device, const char *class)
{
        add_type_file(g, g->path, "vendor", vendor);
        add_type_file(g, g->path, "device", device);
        add_type_file(g, g->path, "class", class);
        add_type_file(g, g->path, "numa_node", "-1");
}

FakeGpu *fake_add_gvt_g(FakeKernel *k, const char *address)
{
        static const struct {
                unsigned n, low_mb, high_mb, weight;
                const char *resolution;
        } types[] = {
                { 1, 512, 2048, 16, "1920x1200" },
                { 2, 256, 1024, 8, "1920x1200" },
                { 4, 128, 512, 4, "1920x1200" },
                { 8, 64, 384, 2, "1024x768" },
        };
        g_autofree char *path = g_strconcat("devices/pci0000:00/", address, NULL);
        FakeGpu *g = gpu_new(k, MODEL_GVT_G, address, path, "bus/pci", "i915", "intel_vgpu_mdev");

        for (size_t i = 0; i < G_N_ELEMENTS(types); i++) {
                g_autofree char *name = g_strdup_printf("GVTg_V5_%u", types[i].n);
                Type *t = add_type(
                                g, g_strconcat("i915-", name, NULL), name,
                                g_strdup_printf("low_gm_size: %uMB\nhigh_gm_size: %uMB\nfence: 4\nresolution: %s\n"
                                                "weight: %u",
                                                types[i].low_mb, types[i].high_mb, types[i].resolution,
                                                types[i].weight));

                t->low_mb = types[i].low_mb;
                t->high_mb = types[i].high_mb;
                t->fences = 4;
        }

        add_pci_files(g, "0x8086", "0x5912", "0x030000");
        add_parent(g, g_strdup(address), g_strdup(path), false);

        return g;
}

static void add_nvidia_type(FakeGpu *g, unsigned id, const char *name, unsigned heads, unsigned limit,
                            unsigned size, const char *resolution, unsigned max)
{
        Type *t = add_type(
                        g, g_strdup_printf("nvidia-%u", id), name,
                        g_strdup_printf("num_heads=%u, frl_config=%u, framebuffer=%uM, max_resolution=%s, max_instance=%u",
                                        heads, limit, size, resolution, max));

        t->size = size;
        t->max_instances = max;
}

/* The first VF is function 4 of the GPU's device. Each device number has eight functions. */
static void add_vfs(FakeGpu *g, unsigned n_vfs)
{
        g_autofree char *bus = g_strndup(g->name, strlen("0000:00:"));

        for (unsigned i = 0; i < n_vfs; i++) {
                char *name = g_strdup_printf("%s%02x.%x", bus, (i + 4) / 8, (i + 4) % 8);
                char *path = g_strdup_printf("devices/pci0000:00/0000:00:03.0/%s", name);
                g_autofree char *link = g_strdup_printf("virtfn%u", i);

                link_device(g, g->path, link, "%s", path);
                add_parent(g, name, path, true);
        }
}

static FakeGpu *nvidia_new(FakeKernel *k, const char *address)
{
        g_autofree char *path = g_strconcat("devices/pci0000:00/0000:00:03.0/", address, NULL);

        return gpu_new(k, MODEL_NVIDIA, address, path, "bus/pci", "nvidia", "nvidia-vgpu-vfio");
}

static void finish_nvidia(FakeGpu *g, unsigned n_vfs)
{
        g_autofree char *total = g_strdup_printf("%u", n_vfs);

        add_pci_files(g, "0x10de", "0x25b6", "0x030200");
        add_type_file(g, g->path, "sriov_totalvfs", total);
        link_device(g, g->path, "subsystem", "bus/pci");
        link_device(g, g->path, "driver", "bus/pci/drivers/nvidia");
        add_vfs(g, n_vfs);
}

FakeGpu *fake_add_nvidia_a2(FakeKernel *k, const char *address, unsigned n_vfs)
{
        static const struct {
                unsigned id;
                const char *name;
                unsigned heads, limit, size;
                const char *resolution;
                unsigned max;
        } types[] = {
                { 742, "NVIDIA A2-1B", 4, 45, 1024, "5120x2880", 16 },
                { 743, "NVIDIA A2-2B", 4, 45, 2048, "5120x2880", 8 },
                { 744, "NVIDIA A2-1Q", 4, 60, 1024, "5120x2880", 16 },
                { 745, "NVIDIA A2-2Q", 4, 60, 2048, "7680x4320", 8 },
                { 746, "NVIDIA A2-4Q", 4, 60, 4096, "7680x4320", 4 },
                { 747, "NVIDIA A2-8Q", 4, 60, 8192, "7680x4320", 2 },
                { 748, "NVIDIA A2-16Q", 4, 60, 16384, "7680x4320", 1 },
                { 749, "NVIDIA A2-1A", 1, 60, 1024, "1280x1024", 16 },
                { 750, "NVIDIA A2-2A", 1, 60, 2048, "1280x1024", 8 },
                { 751, "NVIDIA A2-4A", 1, 60, 4096, "1280x1024", 4 },
                { 752, "NVIDIA A2-8A", 1, 60, 8192, "1280x1024", 2 },
                { 753, "NVIDIA A2-16A", 1, 60, 16384, "1280x1024", 1 },
                { 754, "NVIDIA A2-4C", 1, 60, 4096, "4096x2400", 4 },
                { 755, "NVIDIA A2-8C", 1, 60, 8192, "4096x2400", 2 },
                { 756, "NVIDIA A2-16C", 1, 60, 16384, "4096x2400", 1 },
        };
        FakeGpu *g = nvidia_new(k, address);

        for (size_t i = 0; i < G_N_ELEMENTS(types); i++)
                add_nvidia_type(g, types[i].id, types[i].name, types[i].heads, types[i].limit, types[i].size,
                                types[i].resolution, types[i].max);

        finish_nvidia(g, n_vfs);

        return g;
}

FakeGpu *fake_add_large(FakeKernel *k, const char *address, unsigned n_vfs, unsigned n_types)
{
        FakeGpu *g = nvidia_new(k, address);

        for (unsigned i = 0; i < n_types; i++) {
                g_autofree char *name = g_strdup_printf("NVIDIA X-%u", i + 1);

                add_nvidia_type(g, 1000 + i, name, 1, 60, 1024 * (i + 1), "1280x1024", n_vfs);
        }

        finish_nvidia(g, n_vfs);

        return g;
}

FakeGpu *fake_add_mdpy(FakeKernel *k)
{
        static const struct {
                const char *id, *resolution;
        } types[] = { { "mdpy-vga", "640x480" }, { "mdpy-xga", "1024x768" }, { "mdpy-hd", "1920x1080" } };
        FakeGpu *g = gpu_new(k, MODEL_MDPY, "mdpy", "devices/virtual/mdpy/mdpy", "class/mdpy", NULL, "mdpy");

        for (size_t i = 0; i < G_N_ELEMENTS(types); i++)
                add_type(g, g_strdup(types[i].id), types[i].id,
                         g_strdup_printf("virtual display, %s framebuffer", types[i].resolution));

        add_parent(g, g_strdup("mdpy"), g_strdup("devices/virtual/mdpy/mdpy"), false);

        return g;
}

FakeGpu *fake_add_mtty(FakeKernel *k)
{
        FakeGpu *g = gpu_new(k, MODEL_MTTY, "mtty", "devices/virtual/mtty/mtty", "class/mtty", NULL, "mtty");

        add_type(g, g_strdup("mtty-1"), "Single port serial", NULL)->size = 1;
        add_type(g, g_strdup("mtty-2"), "Dual port serial", NULL)->size = 2;
        add_parent(g, g_strdup("mtty"), g_strdup("devices/virtual/mtty/mtty"), false);

        return g;
}

GpuFacts *fake_gpu_facts(FakeGpu *g)
{
        VgpuIo *io = fake_kernel_io(g->k);
        GPtrArray *parents = NULL;
        GpuFacts *f = NULL;

        g_assert(mdev_parents_read(io, &parents) >= 0);
        g_assert(gpu_facts_read(io,
                                &(GpuSeed){ .name = g->name,
                                            .path = g->path,
                                            .began_usec = (uint64_t)g_get_monotonic_time() },
                                parents, &f) >= 0);
        g_ptr_array_unref(parents);
        vgpu_io_free(io);

        return f;
}

void fake_gpu_set_cdev(FakeGpu *g, bool cdev)
{
        g->cdev = cdev;
}

void fake_gpu_set_driverless(FakeGpu *g, bool driverless)
{
        g->driverless = driverless;
}

void fake_gpu_set_group_nodes(FakeGpu *g, bool group_nodes)
{
        g->no_group_nodes = !group_nodes;
}

const char *fake_gpu_parent_path(FakeGpu *g, unsigned n)
{
        return ((const Parent *)g->parents->pdata[n])->path;
}

void fake_gpu_unload(FakeGpu *g)
{
        pthread_mutex_lock(&g->lock);
        while (g->made->len > 0)
                take_away(g->made->pdata[0]);
        for (guint i = 0; i < g->parents->len; i++) {
                const Parent *p = g->parents->pdata[i];
                g_autofree char *link = g_strconcat("class/mdev_bus/", p->name, NULL);

                fake_remove(g->k, link);
                fake_remove(g->k, p->path);
        }

        pthread_mutex_unlock(&g->lock);
}
