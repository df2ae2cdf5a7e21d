/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Vendors' interfaces are detected by file names, because opening a vendor's file may have effects (AMD's gim
 * resets the GPU when reset_gpu is read). Besides attributes that the kernel defines, two kinds of files are
 * opened: the size of the memory, for known drivers, and max_vfs of the bound driver. */

#include "drivers-glue/facts.h"

#include <string.h>

#include "base/parse-util.h"
#include "drivers-glue/vf-limit.h"
#include "drivers-glue/pci-ids.h"

static void facts_free_parent(gpointer p)
{
        mdev_parent_free(p);
}

static void facts_free_vf(gpointer v)
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

        g_assert(vgpu_io_name_is_valid(name));
        g_assert(vgpu_io_path_is_valid(path));

        f->refs = 1;
        f->name = g_strdup(name);
        f->path = g_strdup(path);
        f->subsystem = g_strdup("");
        f->numa_node = -1;
        f->iommu_group = -1;
        f->vfs = g_ptr_array_new_with_free_func(facts_free_vf);
        f->mdev_parents = g_ptr_array_new_with_free_func(facts_free_parent);

        return f;
}

GpuFacts *gpu_facts_ref(const GpuFacts *f)
{
        if (f) {
                g_assert(g_atomic_int_get(&f->refs) > 0);
                g_atomic_int_inc(&((GpuFacts *)f)->refs);
        }

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
        g_free(f->vf_limit);
        g_free(f->iov_path);
        g_ptr_array_unref(f->vfs);
        g_ptr_array_unref(f->mdev_parents);
        g_free(f);

        return NULL;
}

static bool facts_parents_equal(const GPtrArray *a, const GPtrArray *b)
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

static bool facts_vfs_equal(const GPtrArray *a, const GPtrArray *b)
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
               a->driver_identity == b->driver_identity && a->numa_node == b->numa_node &&
               a->iommu_group == b->iommu_group && g_strcmp0(a->link_speed, b->link_speed) == 0 &&
               g_strcmp0(a->link_speed_max, b->link_speed_max) == 0 && a->link_width == b->link_width &&
               a->link_width_max == b->link_width_max && a->boot_display == b->boot_display &&
               a->memory_bytes == b->memory_bytes && a->total_vfs == b->total_vfs &&
               a->total_vfs_error == b->total_vfs_error && a->has_sriov == b->has_sriov &&
               g_strcmp0(a->vf_limit, b->vf_limit) == 0 && a->enabled_vfs == b->enabled_vfs &&
               a->autoprobe == b->autoprobe && a->features == b->features &&
               g_strcmp0(a->iov_path, b->iov_path) == 0 && facts_vfs_equal(a->vfs, b->vfs) &&
               facts_parents_equal(a->mdev_parents, b->mdev_parents);
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

static gint facts_compare_parents(gconstpointer a, gconstpointer b)
{
        const MdevParent *p = *(MdevParent *const *)a, *q = *(MdevParent *const *)b;

        return strcmp(p->name, q->name);
}

int mdev_parents_read(VgpuIo *io, GPtrArray **ret)
{
        g_autoptr(GPtrArray) parents = g_ptr_array_new_with_free_func(facts_free_parent);
        g_auto(GStrv) names = NULL;
        int r = vgpu_io_list(io, "class/mdev_bus", &names);

        if (r < 0 && r != -ENOENT)
                return r;

        /* Read all links of one folder in a row, because VgpuIo keeps the folders of few paths open. */
        for (char **n = names; n && *n; n++) {
                g_autofree char *link = g_strconcat("class/mdev_bus/", *n, NULL), *path = NULL;

                /* One unreadable entry must not hide the others. */
                if (vgpu_io_resolve_link(io, link, &path) >= 0)
                        g_ptr_array_add(parents, mdev_parent_new(*n, path, NULL));
        }

        for (guint i = 0; i < parents->len; i++) {
                MdevParent *p = parents->pdata[i];
                g_autofree char *link = g_strconcat(p->path, "/physfn", NULL);

                if (vgpu_io_read_link_name(io, link, &p->physfn) < 0)
                        p->physfn = NULL;
        }

        g_ptr_array_sort(parents, facts_compare_parents);
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

/* The text of an attribute of the device; NULL if missing or unreadable. -ENODEV if the device is going away.
 */
static int facts_read_attribute(VgpuIo *io, const GpuFacts *f, const char *name, char **ret)
{
        int r;

        *ret = NULL;
        r = vgpu_io_readf(io, ret, "%s/%s", f->path, name);

        return r == -ENODEV ? r : 0;
}

static int facts_read_hex(VgpuIo *io, const GpuFacts *f, const char *name, uint32_t *ret)
{
        g_autofree char *text = NULL;
        int r = facts_read_attribute(io, f, name, &text);

        if (r < 0)
                return r;

        if (text && g_str_has_prefix(text, "0x"))
                (void)parse_u32(text + strlen("0x"), 16, ret);

        return 0;
}

static int facts_read_hex_u16(VgpuIo *io, const GpuFacts *f, const char *name, uint16_t *ret)
{
        uint32_t v = 0;
        int r = facts_read_hex(io, f, name, &v);

        if (r >= 0 && v <= UINT16_MAX)
                *ret = (uint16_t)v;

        return r;
}

static int facts_read_number(VgpuIo *io, const GpuFacts *f, const char *name, uint32_t *ret)
{
        g_autofree char *text = NULL;
        int r = facts_read_attribute(io, f, name, &text);

        if (r < 0)
                return r;

        if (text)
                (void)parse_u32(text, 10, ret);

        return 0;
}

/* An unreadable sriov_totalvfs must not look like "no SR-IOV", so total_vfs_error keeps the errno. */
static int facts_read_total_vfs(VgpuIo *io, GpuFacts *f)
{
        int r = vgpu_io_read_u32f(io, &f->total_vfs, "%s/sriov_totalvfs", f->path);

        if (r < 0 && r != -ENOENT)
                f->total_vfs_error = r;

        f->has_sriov = r >= 0;
        if (f->has_sriov && f->total_vfs == 0 && f->driver)
                f->vf_limit = vf_limit_find(io, f->driver, f->name);

        return r == -ENODEV ? r : 0;
}

static int facts_read_link_name(VgpuIo *io, const GpuFacts *f, const char *name, char **ret)
{
        g_autofree char *path = g_strdup_printf("%s/%s", f->path, name);
        int r = vgpu_io_read_link_name(io, path, ret);

        return r == -ENODEV ? r : 0;
}

static int facts_read_link_speed(VgpuIo *io, const GpuFacts *f, const char *name, char **ret)
{
        g_autofree char *text = NULL;
        int r = facts_read_attribute(io, f, name, &text);

        if (r < 0)
                return r;

        /* "Unknown" or "Unknown speed", depending on the kernel */
        if (text && text[0] && !g_str_has_prefix(text, "Unknown"))
                *ret = g_utf8_make_valid(text, -1);

        return 0;
}

static int facts_read_link_width(VgpuIo *io, const GpuFacts *f, const char *name, uint32_t *ret)
{
        uint32_t width = 0;
        int r = facts_read_number(io, f, name, &width);

        /* PCIE_LNK_WIDTH_UNKNOWN is 255 (Linux include/linux/pci.h) */
        *ret = width == 255 ? 0 : width;

        return r;
}

static int facts_read_pci(VgpuIo *io, GpuFacts *f)
{
        uint32_t boot_display = 0, autoprobe = 0;
        int r;

        f->is_pci = true;

        r = pci_addr_parse(f->name, &f->address);
        if (r < 0)
                return r;
        if ((r = facts_read_hex_u16(io, f, "vendor", &f->vendor)) < 0 ||
            (r = facts_read_hex_u16(io, f, "device", &f->device)) < 0 ||
            (r = facts_read_hex_u16(io, f, "subsystem_vendor", &f->subsystem_vendor)) < 0 ||
            (r = facts_read_hex_u16(io, f, "subsystem_device", &f->subsystem_device)) < 0 ||
            (r = facts_read_hex(io, f, "class", &f->class)) < 0 ||
            (r = facts_read_link_speed(io, f, "current_link_speed", &f->link_speed)) < 0 ||
            (r = facts_read_link_speed(io, f, "max_link_speed", &f->link_speed_max)) < 0 ||
            (r = facts_read_link_width(io, f, "current_link_width", &f->link_width)) < 0 ||
            (r = facts_read_link_width(io, f, "max_link_width", &f->link_width_max)) < 0 ||
            (r = facts_read_number(io, f, "boot_vga", &boot_display)) < 0 ||
            (r = facts_read_total_vfs(io, f)) < 0 ||
            (r = facts_read_number(io, f, "sriov_drivers_autoprobe", &autoprobe)) < 0)
                return r;

        f->autoprobe = autoprobe == 1;
        f->boot_display = boot_display == 1;

        return 0;
}

/* The number in the file FOLDER/NAME; 0 if it is missing or unreadable. */
static uint64_t facts_read_bytes(VgpuIo *io, const char *folder, const char *name)
{
        g_autofree char *text = NULL;
        uint64_t bytes = 0;

        if (vgpu_io_readf(io, &text, "%s/%s", folder, name) >= 0)
                (void)parse_u64(text, 10, &bytes);

        return bytes;
}

static bool facts_is_numbered(const char *name, const char *prefix)
{
        uint32_t number;

        return g_str_has_prefix(name, prefix) && parse_u32(name + strlen(prefix), 10, &number) >= 0;
}

/* xe has one file per tile; some releases have none. A tile without its file makes the sum unknown. */
static uint64_t facts_read_memory_of_tiles(VgpuIo *io, const GpuFacts *f, char **names)
{
        uint64_t sum = 0;

        for (; *names; names++) {
                g_autofree char *tile = NULL;
                uint64_t bytes;

                if (!facts_is_numbered(*names, "tile"))
                        continue;

                tile = g_strdup_printf("%s/%s", f->path, *names);
                bytes = facts_read_bytes(io, tile, "physical_vram_size_bytes");
                if (bytes == 0 || bytes > UINT64_MAX - sum)
                        return 0;

                sum += bytes;
        }

        return sum;
}

/* Intel's own i915 has the file in the folder of the DRM device. The i915 of Linux has no such file. */
static uint64_t facts_read_memory_of_card(VgpuIo *io, const GpuFacts *f)
{
        g_autofree char *drm = g_strconcat(f->path, "/drm", NULL);
        g_auto(GStrv) cards = NULL;

        if (vgpu_io_list(io, drm, &cards) < 0)
                return 0;

        for (char **c = cards; *c; c++) {
                g_autofree char *card = g_strdup_printf("%s/%s", drm, *c);
                uint64_t bytes = facts_is_numbered(*c, "card") ? facts_read_bytes(io, card, "lmem_total_bytes")
                                                               : 0;

                if (bytes > 0)
                        return bytes;
        }

        return 0;
}

/* The size of the graphics memory; 0: unknown. NVIDIA's driver has no file for the size, but NVIDIA's library
 * reports it (GpuSnapshot.memory_bytes). AMD's gim has neither file nor library. */
static uint64_t facts_read_memory(VgpuIo *io, const GpuFacts *f, char **names)
{
        if (g_strcmp0(f->driver, "amdgpu") == 0)
                return facts_read_bytes(io, f->path, "mem_info_vram_total");
        if (g_strcmp0(f->driver, "xe") == 0)
                return facts_read_memory_of_tiles(io, f, names);
        if (g_strcmp0(f->driver, "i915") == 0)
                return facts_read_memory_of_card(io, f);

        return 0;
}

static gint facts_compare_vfs(gconstpointer a, gconstpointer b)
{
        const VgpuVf *v = *(VgpuVf *const *)a, *w = *(VgpuVf *const *)b;

        return v->index < w->index ? -1 : v->index > w->index;
}

/* Counts the links, because reading sriov_numvfs blocks while another program changes the number. */
int vgpu_vfs_read(VgpuIo *io, const char *path, char **names, GPtrArray *vfs, uint32_t *ret_links)
{
        uint32_t links = 0;
        uint16_t index; /* TotalVFs has 16 bits */
        int problem = 0;

        for (; *names; names++) {
                g_autofree char *link = NULL, *vf = NULL, *name = NULL;
                int r;

                if (!g_str_has_prefix(*names, "virtfn") || parse_u16(*names + strlen("virtfn"), 10, &index) < 0)
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

        g_ptr_array_sort(vfs, facts_compare_vfs);
        g_assert(links >= vfs->len);
        *ret_links = links;

        return problem;
}

static bool facts_names_contain(char **names, const char *name)
{
        return g_strv_contains((const char *const *)names, name);
}

/* Any error counts as a missing folder: facts_device_is_going() detects a device that is going away. */
static bool facts_folder_contains(VgpuIo *io, const char *path, const char *name)
{
        g_auto(GStrv) names = NULL;

        return vgpu_io_list(io, path, &names) >= 0 && facts_names_contain(names, name);
}

bool gpu_facts_follow_vf_drivers(const GpuFacts *f)
{
        return f->vendor == PCI_VENDOR_NVIDIA;
}

/* The first VF with a folder nvidia/ decides, because the driver creates the same files for every VF. If the
 * driver registers mediated types, no VF has the folder. */
static bool facts_vfs_have_nvidia(VgpuIo *io, const GpuFacts *f)
{
        if (f->vendor != PCI_VENDOR_NVIDIA || f->mdev_parents->len > 0)
                return false;

        for (guint i = 0; i < f->vfs->len; i++) {
                g_autofree char *path = g_strconcat(((const VgpuVf *)f->vfs->pdata[i])->path, "/nvidia", NULL);
                g_auto(GStrv) names = NULL;

                if (vgpu_io_list(io, path, &names) >= 0)
                        return facts_names_contain(names, "current_vgpu_type");
        }

        return false;
}

/* i915 out of tree has its admin tree in "prelim_iov" or "iov"; some releases have both. */
static char *facts_find_i915_iov(VgpuIo *io, const GpuFacts *f)
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

                        /* Listing the folder also rejects a link, because vgpu_io_list() follows none. */
                        if (facts_names_contain(names, folders[i]) && vgpu_io_list(io, path, &inside) >= 0)
                                return g_steal_pointer(&path);
                }
        }

        return NULL;
}

/* XenGT divides the GPU in the processor, 0000:00:02.0. */
static bool facts_is_integrated_intel(const GpuFacts *f)
{
        return f->vendor == PCI_VENDOR_INTEL && f->class >> 16 == 0x03 && f->address.domain == 0 &&
               f->address.bus == 0 && f->address.device == 2 && f->address.function == 0;
}

static void facts_find_features(VgpuIo *io, GpuFacts *f, char **names)
{
        if (facts_vfs_have_nvidia(io, f))
                f->features |= VGPU_FEATURE_NVIDIA_VF;
        if (f->vendor == PCI_VENDOR_NVIDIA && vgpu_io_exists(io, FACTS_NVIDIA_MANAGER))
                f->features |= VGPU_FEATURE_NVIDIA_MANAGER;
        if (facts_names_contain(names, "sriov_admin"))
                f->features |= VGPU_FEATURE_XE_ADMIN;
        if (f->vendor == PCI_VENDOR_INTEL && facts_names_contain(names, "drm")) {
                f->iov_path = facts_find_i915_iov(io, f);
                if (f->iov_path)
                        f->features |= VGPU_FEATURE_I915_IOV;
        }

        if (facts_names_contain(names, "accelerator_partition_profile") ||
            facts_names_contain(names, "memory_partition_mode") ||
            facts_names_contain(names, "spatial_partition_mode"))
                f->features |= VGPU_FEATURE_GIM;
        if (facts_names_contain(names, "getvf") && facts_names_contain(names, "relvf"))
                f->features |= VGPU_FEATURE_GIM_LEGACY;
        if (facts_is_integrated_intel(f) && facts_folder_contains(io, "kernel/vgt", "control"))
                f->features |= VGPU_FEATURE_XENGT;
}

static uint64_t facts_identify_driver(VgpuIo *io, const GpuFacts *f)
{
        g_autofree char *link = g_strconcat(f->path, "/driver", NULL);
        uint64_t identity;

        return f->driver && vgpu_io_identify(io, link, &identity) >= 0 ? identity : 0;
}

static int facts_read_common(VgpuIo *io, GpuFacts *f)
{
        g_autofree char *numa = NULL, *group = NULL, *subsystem = NULL;
        int32_t number;
        int r;

        if ((r = facts_read_link_name(io, f, "subsystem", &subsystem)) < 0 ||
            (r = facts_read_link_name(io, f, "driver", &f->driver)) < 0 ||
            (r = facts_read_link_name(io, f, "iommu_group", &group)) < 0 ||
            (r = facts_read_attribute(io, f, "numa_node", &numa)) < 0)
                return r;

        f->driver_identity = facts_identify_driver(io, f);
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

/* A device that is removed loses "uevent" first (Linux drivers/base/core.c, device_del()): facts read while
 * "uevent" exists are complete. */
static bool facts_device_is_going(VgpuIo *io, const char *path)
{
        g_auto(GStrv) names = NULL;

        return vgpu_io_list(io, path, &names) < 0 || !facts_names_contain(names, "uevent");
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
        /* A VF that cannot be read is left out. */
        (void)vgpu_vfs_read(io, f->path, names, f->vfs, &f->enabled_vfs);

        if (seed->admitted)
                f->features |= VGPU_FEATURE_ADMITTED;
        for (guint i = 0; mdev_parents && i < mdev_parents->len; i++) {
                const MdevParent *p = mdev_parents->pdata[i];

                if (strcmp(p->name, f->name) == 0 || g_strcmp0(p->physfn, f->name) == 0)
                        g_ptr_array_add(f->mdev_parents, mdev_parent_new(p->name, p->path, p->physfn));
        }

        g_ptr_array_sort(f->mdev_parents, facts_compare_parents);

        r = facts_read_common(io, f);
        if (r >= 0 && strcmp(f->subsystem, "pci") == 0)
                r = facts_read_pci(io, f);
        if (r >= 0 && f->is_pci) {
                facts_find_features(io, f, names);
                f->memory_bytes = facts_read_memory(io, f, names);
        }

        if (r >= 0 && facts_names_contain(names, "uevent") && facts_device_is_going(io, seed->path))
                r = -ENODEV;
        if (r < 0) {
                gpu_facts_unref(f);
                return r;
        }

        *ret = f;

        return 0;
}
