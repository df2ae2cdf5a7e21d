/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What a device shows of itself. Vendors' interfaces are known by the names of their files: opening some of
 * them does things (AMD's gim resets the GPU when reset_gpu is read), so none is opened here. */

#include "drivers-glue/facts.h"

#include <string.h>

#include "base/parse-util.h"
#include "drivers-glue/pci-ids.h"

static void free_parent(gpointer p)
{
        mdev_parent_free(p);
}

static void free_vf(gpointer v)
{
        vgpu_vf_free(v);
}

VgpuVf *vgpu_vf_new(uint32_t index, const char *name, const char *path)
{
        VgpuVf *v = g_new(VgpuVf, 1);

        *v = (VgpuVf){ .index = index, .name = g_strdup(name), .path = g_strdup(path) };
        return v;
}

VgpuVf *vgpu_vf_free(VgpuVf *v)
{
        if (!v)
                return NULL;
        g_free(v->name);
        g_free(v->path);
        g_free(v);
        return NULL;
}

const VgpuVf *gpu_facts_find_vf(const GpuFacts *f, const char *name)
{
        for (guint i = 0; i < f->vfs->len; i++) {
                const VgpuVf *v = f->vfs->pdata[i];
                if (strcmp(v->name, name) == 0)
                        return v;
        }
        return NULL;
}

GpuFacts *gpu_facts_new(const char *name, const char *path)
{
        GpuFacts *f = g_new0(GpuFacts, 1);

        f->refs = 1;
        f->name = g_strdup(name);
        f->path = g_strdup(path);
        f->subsystem = g_strdup("");
        f->numa_node = -1;
        f->iommu_group = -1;
        f->vfs = g_ptr_array_new_with_free_func(free_vf);
        f->mdev_parents = g_ptr_array_new_with_free_func(free_parent);
        return f;
}

GpuFacts *gpu_facts_ref(const GpuFacts *f)
{
        if (f)
                g_atomic_int_inc(&((GpuFacts *)f)->refs);
        return (GpuFacts *)f;
}

GpuFacts *gpu_facts_unref(const GpuFacts *facts)
{
        GpuFacts *f = (GpuFacts *)facts;

        if (!f || !g_atomic_int_dec_and_test(&f->refs))
                return NULL;
        g_free(f->name);
        g_free(f->path);
        g_free(f->subsystem);
        g_free(f->vendor_name);
        g_free(f->device_name);
        g_free(f->driver);
        g_free(f->link_speed);
        g_free(f->link_speed_max);
        g_free(f->iov_path);
        g_ptr_array_unref(f->vfs);
        g_ptr_array_unref(f->mdev_parents);
        g_free(f);
        return NULL;
}

static bool mdev_parents_equal(const GPtrArray *a, const GPtrArray *b)
{
        if (a->len != b->len)
                return false;
        for (guint i = 0; i < a->len; i++) {
                const MdevParent *p = a->pdata[i], *q = b->pdata[i];
                if (g_strcmp0(p->name, q->name) != 0 || g_strcmp0(p->path, q->path) != 0 ||
                    g_strcmp0(p->physfn, q->physfn) != 0)
                        return false;
        }
        return true;
}

static bool vfs_equal(const GPtrArray *a, const GPtrArray *b)
{
        if (a->len != b->len)
                return false;
        for (guint i = 0; i < a->len; i++) {
                const VgpuVf *v = a->pdata[i], *w = b->pdata[i];
                if (v->index != w->index || strcmp(v->name, w->name) != 0 || strcmp(v->path, w->path) != 0)
                        return false;
        }
        return true;
}

bool gpu_facts_equal(const GpuFacts *a, const GpuFacts *b)
{
        return g_strcmp0(a->name, b->name) == 0 && g_strcmp0(a->path, b->path) == 0 &&
               g_strcmp0(a->subsystem, b->subsystem) == 0 && a->is_pci == b->is_pci &&
               pci_addr_compare(&a->address, &b->address) == 0 && a->vendor == b->vendor &&
               a->device == b->device && a->subsystem_vendor == b->subsystem_vendor &&
               a->subsystem_device == b->subsystem_device && a->class == b->class &&
               g_strcmp0(a->vendor_name, b->vendor_name) == 0 &&
               g_strcmp0(a->device_name, b->device_name) == 0 && g_strcmp0(a->driver, b->driver) == 0 &&
               a->numa_node == b->numa_node && a->iommu_group == b->iommu_group &&
               g_strcmp0(a->link_speed, b->link_speed) == 0 &&
               g_strcmp0(a->link_speed_max, b->link_speed_max) == 0 && a->link_width == b->link_width &&
               a->link_width_max == b->link_width_max && a->boot_display == b->boot_display &&
               a->total_vfs == b->total_vfs && a->enabled_vfs == b->enabled_vfs &&
               a->autoprobe == b->autoprobe && a->features == b->features &&
               g_strcmp0(a->iov_path, b->iov_path) == 0 && vfs_equal(a->vfs, b->vfs) &&
               mdev_parents_equal(a->mdev_parents, b->mdev_parents);
}

MdevParent *mdev_parent_new(const char *name, const char *path, const char *physfn)
{
        MdevParent *p = g_new(MdevParent, 1);

        *p = (MdevParent){ .name = g_strdup(name), .path = g_strdup(path), .physfn = g_strdup(physfn) };
        return p;
}

MdevParent *mdev_parent_free(MdevParent *p)
{
        if (!p)
                return NULL;
        g_free(p->name);
        g_free(p->path);
        g_free(p->physfn);
        g_free(p);
        return NULL;
}

static gint compare_parents(gconstpointer a, gconstpointer b)
{
        const MdevParent *p = *(MdevParent *const *)a, *q = *(MdevParent *const *)b;

        return strcmp(p->name, q->name);
}

int mdev_parents_read(VgpuIo *io, GPtrArray **ret)
{
        g_autoptr(GPtrArray) parents = g_ptr_array_new_with_free_func(free_parent);
        g_auto(GStrv) names = NULL;
        int r = vgpu_io_list(io, "class/mdev_bus", &names);

        if (r < 0 && r != -ENOENT)
                return r;
        for (char **n = names; n && *n; n++) {
                g_autofree char *link = g_strconcat("class/mdev_bus/", *n, NULL);
                g_autofree char *path = NULL, *physfn_link = NULL, *physfn = NULL;

                /* One odd entry must not hide all the others. */
                if (vgpu_io_resolve_link(io, link, &path) < 0)
                        continue;
                physfn_link = g_strconcat(path, "/physfn", NULL);
                if (vgpu_io_read_link_name(io, physfn_link, &physfn) < 0)
                        physfn = NULL;
                g_ptr_array_add(parents, mdev_parent_new(*n, path, physfn));
        }
        g_ptr_array_sort(parents, compare_parents);
        *ret = g_steal_pointer(&parents);
        return 0;
}

int mdev_parent_is_gpu(VgpuIo *io, const MdevParent *p)
{
        g_autofree char *path = g_strconcat(p->path, "/mdev_supported_types", NULL);
        g_auto(GStrv) types = NULL;
        int r = vgpu_io_list(io, path, &types);

        if (r < 0)
                return r == -ENOENT ? 0 : r;
        for (char **t = types; *t; t++) {
                g_autofree char *api = NULL;
                r = vgpu_io_readf(io, &api, "%s/%s/device_api", path, *t);
                if (r < 0 && !vgpu_io_is_gone(r))
                        return r;
                if (r >= 0 && strcmp(api, "vfio-pci") == 0)
                        return 1;
        }
        return 0;
}

/* The text of an attribute of the device; NULL when it is not there or cannot be read. -ENODEV when the device
 * is going. */
static int read_attribute(VgpuIo *io, const GpuFacts *f, const char *name, char **ret)
{
        int r;

        *ret = NULL;
        r = vgpu_io_readf(io, ret, "%s/%s", f->path, name);
        return r == -ENODEV ? r : 0;
}

static int read_hex(VgpuIo *io, const GpuFacts *f, const char *name, uint32_t *ret)
{
        g_autofree char *text = NULL;
        int r = read_attribute(io, f, name, &text);

        if (r < 0)
                return r;
        if (text && g_str_has_prefix(text, "0x"))
                (void)parse_u32(text + strlen("0x"), 16, ret);
        return 0;
}

static int read_hex_u16(VgpuIo *io, const GpuFacts *f, const char *name, uint16_t *ret)
{
        uint32_t v = 0;
        int r = read_hex(io, f, name, &v);

        if (r >= 0 && v <= UINT16_MAX)
                *ret = (uint16_t)v;
        return r;
}

static int read_number(VgpuIo *io, const GpuFacts *f, const char *name, uint32_t *ret)
{
        g_autofree char *text = NULL;
        int r = read_attribute(io, f, name, &text);

        if (r < 0)
                return r;
        if (text)
                (void)parse_u32(text, 10, ret);
        return 0;
}

static int read_link_name(VgpuIo *io, const GpuFacts *f, const char *name, char **ret)
{
        g_autofree char *path = g_strdup_printf("%s/%s", f->path, name);
        int r = vgpu_io_read_link_name(io, path, ret);

        return r == -ENODEV ? r : 0;
}

static int read_link_speed(VgpuIo *io, const GpuFacts *f, const char *name, char **ret)
{
        g_autofree char *text = NULL;
        int r = read_attribute(io, f, name, &text);

        if (r < 0)
                return r;
        /* "Unknown", "Unknown speed" by kernel version */
        if (text && text[0] && !g_str_has_prefix(text, "Unknown"))
                *ret = g_utf8_make_valid(text, -1);
        return 0;
}

static int read_link_width(VgpuIo *io, const GpuFacts *f, const char *name, uint32_t *ret)
{
        uint32_t width = 0;
        int r = read_number(io, f, name, &width);

        /* PCIE_LNK_WIDTH_UNKNOWN is 255 (Linux include/linux/pci.h) */
        *ret = width == 255 ? 0 : width;
        return r;
}

static int read_pci_facts(VgpuIo *io, GpuFacts *f)
{
        uint32_t boot_display = 0, autoprobe = 0;
        int r;

        f->is_pci = true;
        r = pci_addr_parse(f->name, &f->address);
        if (r < 0)
                return r;
        if ((r = read_hex_u16(io, f, "vendor", &f->vendor)) < 0 ||
            (r = read_hex_u16(io, f, "device", &f->device)) < 0 ||
            (r = read_hex_u16(io, f, "subsystem_vendor", &f->subsystem_vendor)) < 0 ||
            (r = read_hex_u16(io, f, "subsystem_device", &f->subsystem_device)) < 0 ||
            (r = read_hex(io, f, "class", &f->class)) < 0 ||
            (r = read_link_speed(io, f, "current_link_speed", &f->link_speed)) < 0 ||
            (r = read_link_speed(io, f, "max_link_speed", &f->link_speed_max)) < 0 ||
            (r = read_link_width(io, f, "current_link_width", &f->link_width)) < 0 ||
            (r = read_link_width(io, f, "max_link_width", &f->link_width_max)) < 0 ||
            (r = read_number(io, f, "boot_vga", &boot_display)) < 0 ||
            (r = read_number(io, f, "sriov_totalvfs", &f->total_vfs)) < 0 ||
            (r = read_number(io, f, "sriov_drivers_autoprobe", &autoprobe)) < 0)
                return r;
        f->autoprobe = autoprobe == 1;
        f->boot_display = boot_display == 1;
        return 0;
}

static gint compare_vfs(gconstpointer a, gconstpointer b)
{
        const VgpuVf *v = *(VgpuVf *const *)a, *w = *(VgpuVf *const *)b;

        return v->index < w->index ? -1 : v->index > w->index;
}

/* The links are what is counted, because a reader of sriov_numvfs waits for as long as somebody else changes
 * the number. */
int vgpu_vfs_read(VgpuIo *io, const char *path, char **names, GPtrArray *vfs, uint32_t *ret_links)
{
        uint32_t links = 0, index;
        int problem = 0;

        for (; *names; names++) {
                g_autofree char *link = NULL, *vf = NULL, *name = NULL;
                int r;

                if (!g_str_has_prefix(*names, "virtfn") || parse_u32(*names + strlen("virtfn"), 10, &index) < 0)
                        continue;
                links++;
                link = g_strdup_printf("%s/%s", path, *names);
                r = vgpu_io_resolve_link(io, link, &vf);
                if (r < 0) {
                        if (!vgpu_io_is_gone(r))
                                problem = r;
                        continue;
                }
                name = g_path_get_basename(vf);
                g_ptr_array_add(vfs, vgpu_vf_new(index, name, vf));
        }
        g_ptr_array_sort(vfs, compare_vfs);
        *ret_links = links;
        return problem;
}

static bool contains(char **names, const char *name)
{
        return g_strv_contains((const char *const *)names, name);
}

/* An error is a folder that is not there; that of a device that is going is noticed at the end. */
static bool folder_contains(VgpuIo *io, const char *path, const char *name)
{
        g_auto(GStrv) names = NULL;

        return vgpu_io_list(io, path, &names) >= 0 && contains(names, name);
}

bool gpu_facts_follow_vf_drivers(const GpuFacts *f)
{
        return f->vendor == PCI_VENDOR_NVIDIA;
}

/* The kernel shows the same files on all virtual functions that its driver has taken. Where mediated devices
 * are registered instead there are none of these. */
static bool vfs_have_nvidia(VgpuIo *io, const GpuFacts *f)
{
        if (f->vendor != PCI_VENDOR_NVIDIA || f->mdev_parents->len > 0)
                return false;
        for (guint i = 0; i < f->vfs->len; i++) {
                g_autofree char *path = g_strconcat(((const VgpuVf *)f->vfs->pdata[i])->path, "/nvidia", NULL);
                g_auto(GStrv) names = NULL;
                if (vgpu_io_list(io, path, &names) >= 0)
                        return contains(names, "current_vgpu_type");
        }
        return false;
}

/* i915 out of tree shows its administration as "prelim_iov" or "iov", depending on the release (and some as
 * both). */
static char *find_i915_iov(VgpuIo *io, const GpuFacts *f)
{
        static const char *const folders[] = { "prelim_iov", "iov" };
        g_autofree char *drm = g_strconcat(f->path, "/drm", NULL);
        g_auto(GStrv) cards = NULL;
        uint32_t number;

        if (vgpu_io_list(io, drm, &cards) < 0)
                return NULL;
        for (char **c = cards; *c; c++) {
                g_autofree char *card = g_strdup_printf("%s/%s", drm, *c);
                g_auto(GStrv) names = NULL;

                if (!g_str_has_prefix(*c, "card") || parse_u32(*c + strlen("card"), 10, &number) < 0 ||
                    vgpu_io_list(io, card, &names) < 0)
                        continue;
                for (size_t i = 0; i < G_N_ELEMENTS(folders); i++) {
                        g_autofree char *path = g_strdup_printf("%s/%s", card, folders[i]);
                        g_auto(GStrv) inside = NULL;
                        /* A link has no place here, and would lead nowhere (vgpu_io_list() follows none). */
                        if (contains(names, folders[i]) && vgpu_io_list(io, path, &inside) >= 0)
                                return g_steal_pointer(&path);
                }
        }
        return NULL;
}

/* XenGT divides the one GPU that Intel puts into the processor. */
static bool is_integrated_intel(const GpuFacts *f)
{
        return f->vendor == PCI_VENDOR_INTEL && f->class >> 16 == 0x03 && f->address.domain == 0 &&
               f->address.bus == 0 && f->address.device == 2 && f->address.function == 0;
}

static void find_features(VgpuIo *io, GpuFacts *f, char **names)
{
        if (vfs_have_nvidia(io, f))
                f->features |= VGPU_FEATURE_NVIDIA_VF;
        if (contains(names, "sriov_admin"))
                f->features |= VGPU_FEATURE_XE_ADMIN;
        if (f->vendor == PCI_VENDOR_INTEL && contains(names, "drm")) {
                f->iov_path = find_i915_iov(io, f);
                if (f->iov_path)
                        f->features |= VGPU_FEATURE_I915_IOV;
        }
        if (contains(names, "accelerator_partition_profile") || contains(names, "memory_partition_mode") ||
            contains(names, "spatial_partition_mode"))
                f->features |= VGPU_FEATURE_GIM;
        if (contains(names, "getvf") && contains(names, "relvf"))
                f->features |= VGPU_FEATURE_GIM_LEGACY;
        if (is_integrated_intel(f) && folder_contains(io, "kernel/vgt", "control"))
                f->features |= VGPU_FEATURE_XENGT;
}

static int read_common_facts(VgpuIo *io, GpuFacts *f)
{
        g_autofree char *numa = NULL, *group = NULL, *subsystem = NULL;
        int32_t number;
        int r;

        if ((r = read_link_name(io, f, "subsystem", &subsystem)) < 0 ||
            (r = read_link_name(io, f, "driver", &f->driver)) < 0 ||
            (r = read_link_name(io, f, "iommu_group", &group)) < 0 ||
            (r = read_attribute(io, f, "numa_node", &numa)) < 0)
                return r;
        if (subsystem) {
                g_free(f->subsystem);
                f->subsystem = g_steal_pointer(&subsystem);
        }
        if (numa && parse_i32(numa, &number) >= 0 && number >= 0)
                f->numa_node = number;
        if (group && parse_i32(group, &number) >= 0 && number >= 0)
                f->iommu_group = number;
        return 0;
}

/* "uevent" is the first thing that a device loses when it is removed (Linux drivers/base/core.c, device_del):
 * what was read while it was there is whole. */
static bool is_going(VgpuIo *io, const char *path)
{
        g_auto(GStrv) names = NULL;

        return vgpu_io_list(io, path, &names) < 0 || !contains(names, "uevent");
}

int gpu_facts_read(VgpuIo *io, const GpuSeed *seed, const GPtrArray *mdev_parents, GpuFacts **ret)
{
        g_auto(GStrv) names = NULL;
        GpuFacts *f;
        int r;

        r = vgpu_io_list(io, seed->path, &names);
        if (r < 0)
                return r == -ENOENT ? -ENODEV : r;

        f = gpu_facts_new(seed->name, seed->path);
        f->vendor_name = g_strdup(seed->vendor_name);
        f->device_name = g_strdup(seed->device_name);
        f->began_usec = seed->began_usec;
        (void)vgpu_vfs_read(io, f->path, names, f->vfs, &f->enabled_vfs); /* the rest of them count */
        if (seed->admitted)
                f->features |= VGPU_FEATURE_ADMITTED;
        for (guint i = 0; mdev_parents && i < mdev_parents->len; i++) {
                const MdevParent *p = mdev_parents->pdata[i];
                if (strcmp(p->name, f->name) == 0 || g_strcmp0(p->physfn, f->name) == 0)
                        g_ptr_array_add(f->mdev_parents, mdev_parent_new(p->name, p->path, p->physfn));
        }
        g_ptr_array_sort(f->mdev_parents, compare_parents);

        r = read_common_facts(io, f);
        if (r >= 0 && strcmp(f->subsystem, "pci") == 0)
                r = read_pci_facts(io, f);
        if (r >= 0 && f->is_pci)
                find_features(io, f, names);
        if (r >= 0 && contains(names, "uevent") && is_going(io, seed->path))
                r = -ENODEV;
        if (r < 0) {
                gpu_facts_unref(f);
                return r;
        }
        *ret = f;
        return 0;
}
