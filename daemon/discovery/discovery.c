/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "daemon/discovery/discovery.h"

#include <libudev.h>
#include <string.h>

#include "base/log.h"
#include "base/parse-util.h"
#include "base/thread.h"
#include "base/time-util.h"

#define PCI_DEVICES "bus/pci/devices"

DEFINE_DESTROY_NOTIFY(discovery_destroy_facts, gpu_facts_unref)

/* ---- values ---- */

BlockedDevice *blocked_device_copy(const BlockedDevice *b)
{
        BlockedDevice *copy = g_new(BlockedDevice, 1);

        *copy = *b;
        copy->name = g_strdup(b->name);
        copy->path = g_strdup(b->path);
        copy->file = g_strdup(b->file);

        return copy;
}

void blocked_device_free(gpointer p)
{
        BlockedDevice *b = p;

        if (!b)
                return;

        g_free(b->name);
        g_free(b->path);
        g_free(b->file);
        g_free(b);
}

BlockedDevice *blocked_device_find(const GPtrArray *blocked, const char *name)
{
        for (guint i = 0; blocked && i < blocked->len; i++) {
                BlockedDevice *b = blocked->pdata[i];

                if (strcmp(b->name, name) == 0)
                        return b;
        }

        return NULL;
}

PciFunction *pci_function_new(const char *path, int numa_node)
{
        PciFunction *f = g_new(PciFunction, 1);

        *f = (PciFunction){ .path = g_strdup(path), .numa_node = numa_node };

        return f;
}

void pci_function_free(gpointer p)
{
        PciFunction *f = p;

        g_free(f->path);
        g_free(f);
}

bool discovery_class_is_gpu(uint32_t class)
{
        return class >> 16 == 0x03 || class >> 16 == 0x12;
}

bool discovery_id_is_admitted(const GArray *also, uint32_t id)
{
        for (guint i = 0; i < also->len; i++)
                if (g_array_index(also, uint32_t, i) == id)
                        return true;

        return false;
}

/* ---- in the lane: the device that is read ---- */

static void discovery_enter(Discovery *d, const char *name, const char *path, DeviceKind kind)
{
        pthread_mutex_lock(&d->mutex);
        g_free(d->device);
        g_free(d->device_path);
        d->device = g_strdup(name);
        d->device_path = g_strdup(path);
        d->device_kind = kind;
        pthread_mutex_unlock(&d->mutex);
}

static void discovery_leave(Discovery *d)
{
        discovery_enter(d, NULL, NULL, DEVICE_UNKNOWN);
}

/* ---- in the lane: attributes ---- */

static bool discovery_names_contain(char **names, const char *name)
{
        return g_strv_contains((const char *const *)names, name);
}

/* True if the folder is that of a PF. Two files show a VF: the link "physfn", which the kernel creates after
 * the VF and removes before the VF, and sriov_vf_msix_count (since Linux 5.13). device_add() creates "class"
 * after sriov_vf_msix_count, and device_del() removes "uevent" before it (drivers/base/core.c). So if "class"
 * and "uevent" exist, a VF has sriov_vf_msix_count. A folder that was removed while vgpud had it open has no
 * names. */
static bool discovery_names_are_of_pf(char **names)
{
        return discovery_names_contain(names, "class") && discovery_names_contain(names, "uevent") &&
               !discovery_names_contain(names, "physfn") &&
               !discovery_names_contain(names, "sriov_vf_msix_count");
}

static bool discovery_is_pf(VgpuIo *io, const char *path)
{
        g_autofree char *link = g_strconcat(path, "/physfn", NULL), *physfn = NULL;
        g_auto(GStrv) names = NULL;

        /* Most GPU functions of a host are VFs, and one link is cheaper to read than a folder is to list. */
        if (vgpu_io_read_link(io, link, &physfn) >= 0)
                return false;

        return vgpu_io_list(io, path, &names) >= 0 && discovery_names_are_of_pf(names);
}

/* "0x030000" */
static bool discovery_read_hex(VgpuIo *io, const char *path, const char *name, uint32_t *ret)
{
        g_autofree char *text = NULL;

        return vgpu_io_readf(io, &text, "%s/%s", path, name) >= 0 && g_str_has_prefix(text, "0x") &&
               parse_u32(text + strlen("0x"), 16, ret) >= 0;
}

static bool discovery_is_admitted(VgpuIo *io, const char *path, const GArray *also)
{
        uint32_t vendor, product;

        return also->len > 0 && discovery_read_hex(io, path, "vendor", &vendor) &&
               discovery_read_hex(io, path, "device", &product) && vendor <= UINT16_MAX &&
               product <= UINT16_MAX && discovery_id_is_admitted(also, vendor << 16 | product);
}

static int discovery_read_node(VgpuIo *io, const char *path)
{
        g_autofree char *text = NULL;
        int32_t node;

        return vgpu_io_readf(io, &text, "%s/numa_node", path) >= 0 && parse_i32(text, &node) >= 0 && node >= 0
                               ? node
                               : -1;
}

static char *discovery_find_hwdb(struct udev_hwdb *hwdb, const char *modalias, const char *key)
{
        struct udev_list_entry *list;

        if (!hwdb || !modalias)
                return NULL;

        list = udev_hwdb_get_properties_list_entry(hwdb, modalias, 0);
        list = udev_list_entry_get_by_name(list, key);

        return list ? g_strdup(udev_list_entry_get_value(list)) : NULL;
}

/* ---- in the lane: devices that block ---- */

/* Find the kind in the file uevent, by its lines PCI_CLASS=30000 and PCI_ID=8086:10C9: the kernel prints them
 * without access to the device. */
static DeviceKind discovery_read_kind(const Discovery *d, VgpuIo *io, const char *path)
{
        g_autofree char *text = NULL;
        g_auto(GStrv) lines = NULL;
        DeviceKind kind = DEVICE_OTHER;

        if (vgpu_io_readf(io, &text, "%s/uevent", path) < 0)
                return DEVICE_OTHER;

        lines = g_strsplit(text, "\n", -1);
        for (char **l = lines; *l; l++) {
                uint16_t vendor, product;
                uint32_t class;
                char *colon = strchr(*l, ':');

                if (g_str_has_prefix(*l, "PCI_CLASS=") &&
                    parse_u32(*l + strlen("PCI_CLASS="), 16, &class) >= 0 && discovery_class_is_gpu(class))
                        kind = DEVICE_GPU;

                if (!g_str_has_prefix(*l, "PCI_ID=") || !colon)
                        continue;

                *colon = 0;
                if (parse_u16(*l + strlen("PCI_ID="), 16, &vendor) >= 0 &&
                    parse_u16(colon + 1, 16, &product) >= 0 &&
                    discovery_id_is_admitted(d->also, (uint32_t)vendor << 16 | product))
                        kind = DEVICE_GPU;
        }

        return kind;
}

/* Guess the kind from the names of files, which the kernel lists without access to the device, or else from
 * uevent. A device that blocked a second discovery counts as no GPU. */
static DeviceKind discovery_guess_kind(const Discovery *d, VgpuIo *io, const BlockedDevice *b)
{
        static const char *const signs[] = { "boot_vga", "drm", "mdev_supported_types", "sriov_admin" };
        g_auto(GStrv) names = NULL;

        if (b->tries > 1 || vgpu_io_list(io, b->path, &names) < 0 || !discovery_names_are_of_pf(names))
                return DEVICE_OTHER;

        for (size_t i = 0; i < G_N_ELEMENTS(signs); i++)
                if (discovery_names_contain(names, signs[i]))
                        return DEVICE_GPU;

        return discovery_read_kind(d, io, b->path);
}

/* Report the device as blocked. If its kind is unknown, guess the kind without access to the device. */
static void discovery_add_blocked(Discovery *d, VgpuIo *io, const BlockedDevice *known)
{
        BlockedDevice *b = blocked_device_copy(known);

        discovery_enter(d, b->name, b->path, b->kind);
        if (b->path && b->kind == DEVICE_UNKNOWN)
                b->kind = discovery_guess_kind(d, io, b);
        discovery_leave(d);

        g_ptr_array_add(d->blocked, b);
}

/* ---- in the lane: GPUs ---- */

static void discovery_add_facts(Discovery *d, VgpuIo *io, const GpuSeed *seed, const GPtrArray *parents,
                                bool on_pci)
{
        GpuFacts *facts = NULL;

        /* Ignore a device that is being removed: the kernel removes its links before its folder. */
        if (gpu_facts_read(io, seed, parents, &facts) < 0)
                return;

        /* Check again, because a VF may look like a PF while the kernel creates or removes it. */
        if ((on_pci && !facts->is_pci) || (facts->is_pci && !discovery_is_pf(io, facts->path)))
                gpu_facts_unref(facts);
        else
                g_ptr_array_add(d->facts, facts);
}

static bool discovery_have_facts(const Discovery *d, const char *name)
{
        for (guint i = 0; i < d->facts->len; i++)
                if (strcmp(((const GpuFacts *)d->facts->pdata[i])->name, name) == 0)
                        return true;

        return false;
}

static void discovery_read_gpu(Discovery *d, VgpuIo *io, struct udev_hwdb *hwdb, const char *name,
                               const char *path, bool admitted, const GPtrArray *parents)
{
        g_autofree char *modalias = NULL, *vendor = NULL, *model = NULL;

        if (vgpu_io_readf(io, &modalias, "%s/modalias", path) >= 0) {
                vendor = discovery_find_hwdb(hwdb, modalias, "ID_VENDOR_FROM_DATABASE");
                model = discovery_find_hwdb(hwdb, modalias, "ID_MODEL_FROM_DATABASE");
        }

        GpuSeed seed = {
                .name = name,
                .path = path,
                .vendor_name = vendor,
                .device_name = model,
                .admitted = admitted,
                .began_usec = d->began_usec,
        };
        discovery_add_facts(d, io, &seed, parents, true);
}

static void discovery_read_function(Discovery *d, VgpuIo *io, struct udev_hwdb *hwdb, const char *name,
                                    const char *path, const GPtrArray *parents)
{
        bool is_gpu, admitted = false;
        uint32_t class = 0;
        int node = -1;

        discovery_enter(d, name, path, DEVICE_UNKNOWN);
        if (!discovery_read_hex(io, path, "class", &class))
                is_gpu = false;
        else {
                is_gpu = discovery_class_is_gpu(class);
                if (!is_gpu)
                        is_gpu = admitted = discovery_is_admitted(io, path, d->also);
        }

        is_gpu = is_gpu && discovery_is_pf(io, path);
        discovery_enter(d, name, path, is_gpu ? DEVICE_GPU : DEVICE_OTHER);

        /* Do not read the NUMA node of a GPU or of its VFs, of which a host may have a thousand:
         * inventory_learn_gpu() takes the NUMA node from the facts of the GPU. */
        if (!discovery_class_is_gpu(class))
                node = discovery_read_node(io, path);
        g_ptr_array_add(d->pci, pci_function_new(path, node));

        if (is_gpu)
                discovery_read_gpu(d, io, hwdb, name, path, admitted, parents);
        discovery_leave(d);
}

/* Return the path of each function, or "" for a function to skip. Read all links of one folder in a row,
 * because VgpuIo keeps the folders of few paths open. */
static GPtrArray *discovery_resolve_functions(Discovery *d, VgpuIo *io, char **names)
{
        GPtrArray *paths = g_ptr_array_new_with_free_func(g_free);

        for (char **n = names; *n; n++) {
                g_autofree char *link = g_strconcat(PCI_DEVICES "/", *n, NULL);
                char *path = NULL;

                discovery_enter(d, *n, NULL, DEVICE_UNKNOWN);
                if (blocked_device_find(d->avoid, *n) || !vgpu_io_name_is_valid(*n) ||
                    vgpu_io_resolve_link(io, link, &path) < 0)
                        path = g_strdup("");
                discovery_leave(d);

                g_ptr_array_add(paths, path);
        }

        return paths;
}

static int discovery_find_pci(Discovery *d, VgpuIo *io, const GPtrArray *parents)
{
        struct udev *udev = udev_new();
        struct udev_hwdb *hwdb = udev ? udev_hwdb_new(udev) : NULL;
        g_autoptr(GPtrArray) paths = NULL;
        g_auto(GStrv) names = NULL;
        int r = vgpu_io_list(io, PCI_DEVICES, &names);

        if (r >= 0)
                paths = discovery_resolve_functions(d, io, names);

        for (guint i = 0; paths && i < paths->len; i++) {
                const char *name = names[i], *path = paths->pdata[i];
                const BlockedDevice *known = blocked_device_find(d->avoid, name);

                if (known) {
                        if (known->path)
                                g_ptr_array_add(d->pci, pci_function_new(known->path, -1));
                        discovery_add_blocked(d, io, known);
                        continue;
                }

                if (path[0])
                        discovery_read_function(d, io, hwdb, name, path, parents);
        }

        udev_hwdb_unref(hwdb);
        udev_unref(udev);

        return r == -ENOENT ? 0 : r;
}

/* Find the GPUs that the PCI class does not show: a parent of mediated devices, or the PF of a parent that is a
 * VF. */
static void discovery_find_other_parents(Discovery *d, VgpuIo *io, const GPtrArray *parents)
{
        for (guint i = 0; i < parents->len; i++) {
                const MdevParent *p = parents->pdata[i];
                const char *name = p->physfn ? p->physfn : p->name;
                const BlockedDevice *known = blocked_device_find(d->avoid, name);
                g_autofree char *path = NULL;

                if (discovery_have_facts(d, name) || blocked_device_find(d->blocked, name))
                        continue;

                if (known) {
                        discovery_add_blocked(d, io, known);
                        continue;
                }

                discovery_enter(d, name, NULL, DEVICE_GPU);
                if (p->physfn) {
                        g_autofree char *link = g_strconcat(p->path, "/physfn", NULL);

                        if (vgpu_io_resolve_link(io, link, &path) < 0)
                                continue;
                } else
                        path = g_strdup(p->path);

                discovery_enter(d, name, path, DEVICE_GPU);
                if (mdev_parent_is_gpu(io, p) != 1)
                        continue;

                GpuSeed seed = { .name = name, .path = path, .began_usec = d->began_usec };
                discovery_add_facts(d, io, &seed, parents, p->physfn);
        }

        discovery_leave(d);
}

static void discovery_run(LaneWork *w, VgpuIo *io)
{
        Discovery *d = (Discovery *)w;
        VgpuIo *watched = vgpu_io_watched_new(io, &d->watch);
        g_autoptr(GPtrArray) parents = NULL;

        assert_in_lane();

        d->began_usec = now_monotonic_usec();

        d->result = mdev_parents_read(watched, &parents);
        if (d->result >= 0)
                d->result = discovery_find_pci(d, watched, parents);
        if (d->result >= 0)
                discovery_find_other_parents(d, watched, parents);
        discovery_leave(d);
        vgpu_io_free(watched);
}

/* ---- in the main thread ---- */

Discovery *discovery_new(GArray *also, const GPtrArray *avoid)
{
        Discovery *d = g_new0(Discovery, 1);

        assert_main_thread();

        d->work.run = discovery_run;
        d->also = g_array_ref(also);
        d->avoid = g_ptr_array_new_with_free_func(blocked_device_free);
        for (guint i = 0; i < avoid->len; i++)
                g_ptr_array_add(d->avoid, blocked_device_copy(avoid->pdata[i]));
        d->facts = g_ptr_array_new_with_free_func(discovery_destroy_facts);
        d->pci = g_ptr_array_new_with_free_func(pci_function_free);
        d->blocked = g_ptr_array_new_with_free_func(blocked_device_free);
        io_watch_init(&d->watch);
        pthread_mutex_init(&d->mutex, NULL);

        return d;
}

void discovery_free(Discovery *d)
{
        assert_main_thread();

        sd_event_source_disable_unref(d->deadline);
        g_free(d->blocker);
        g_array_unref(d->also);
        g_ptr_array_unref(d->avoid);
        g_ptr_array_unref(d->facts);
        g_ptr_array_unref(d->pci);
        g_ptr_array_unref(d->blocked);
        io_watch_done(&d->watch);
        pthread_mutex_destroy(&d->mutex);
        g_free(d->device);
        g_free(d->device_path);
        g_free(d);
}

uint64_t discovery_get_age(Discovery *d, BlockedDevice **ret)
{
        g_autofree char *file = NULL;
        uint64_t age = io_watch_get_age(&d->watch, &file);

        assert_main_thread();

        if (age == 0)
                return 0;

        *ret = g_new0(BlockedDevice, 1);
        (*ret)->file = g_steal_pointer(&file);
        (*ret)->since_usec = now_monotonic_usec() - age;

        pthread_mutex_lock(&d->mutex);
        (*ret)->name = g_strdup(d->device);
        (*ret)->path = g_strdup(d->device_path);
        (*ret)->kind = d->device_kind;
        pthread_mutex_unlock(&d->mutex);

        return age;
}
