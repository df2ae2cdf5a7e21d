/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "daemon/discovery/inventory.h"

#include <libudev.h>
#include <string.h>

#include "base/log-ids.h"
#include "base/log.h"
#include "base/parse-util.h"
#include "base/thread.h"
#include "daemon/model/gpu.h"
#include "daemon/work/debounce.h"
#include "daemon/work/lane.h"
#include "daemon/model/model.h"

#define INVENTORY_DEBOUNCE_USEC (20 * USEC_PER_MSEC)
/* Enough for the events of a host on which every GPU enables its VFs at the same time. */
#define MONITOR_BUFFER_BYTES (16 * 1024 * 1024)
#define LANE_NAME            "+inventory" /* not a sysfs name */
#define EVENTS_PER_TURN      64
#define XENGT_PATH           "kernel/vgt"

typedef struct PciFunction {
        char *path;    /* owned; below /sys */
        int numa_node; /* -1: not known */
} PciFunction;

struct Inventory {
        Model *model; /* borrowed */
        Lane *lane;   /* owned */
        InventoryDone done;
        struct udev *udev;
        struct udev_monitor *monitor;
        sd_event_source *source;   /* owned */
        Debounce *debounce;        /* owned; NULL: no discovery is delayed */
        struct Discovery *running; /* borrowed; NULL: none */
        bool again;
        /* Path (owned) of GPUs, VFs and mediated device parents -> name (owned) of the GPU, from the last
         * discovery. */
        GHashTable *names_by_path; /* owned */
        GHashTable *pci;           /* owned: name (owned) of every PCI function -> PciFunction (owned) */
};

typedef struct Discovery {
        LaneWork work;        /* first */
        Inventory *inventory; /* borrowed; NULL: the inventory was freed */
        GArray *also;         /* ref: Config.also */
        GPtrArray *facts;     /* GpuFacts */
        GPtrArray *pci;       /* PciFunction of every function; GPUs have no node here */
        uint64_t began_usec;  /* CLOCK_MONOTONIC */
        int result;
} Discovery;

static PciFunction *inventory_pci_new(const char *path, int numa_node)
{
        PciFunction *f = g_new(PciFunction, 1);

        *f = (PciFunction){ .path = g_strdup(path), .numa_node = numa_node };

        return f;
}

static void inventory_pci_free(gpointer p)
{
        PciFunction *f = p;

        g_free(f->path);
        g_free(f);
}

/* ---- in the lane ---- */

DEFINE_DESTROY_NOTIFY(discovery_facts_destroy, gpu_facts_unref)

static const char *inventory_below_sys(const char *syspath)
{
        return syspath && g_str_has_prefix(syspath, "/sys/") ? syspath + strlen("/sys/") : NULL;
}

/* Check two files that only a VF has. The kernel creates the link "physfn" after the VF and removes the link
 * first. sriov_vf_msix_count (since Linux 5.13) exists as long as the VF. */
static bool discovery_is_pf(VgpuIo *io, const char *path)
{
        g_auto(GStrv) names = NULL;

        return vgpu_io_list(io, path, &names) >= 0 && !g_strv_contains((const char *const *)names, "physfn") &&
               !g_strv_contains((const char *const *)names, "sriov_vf_msix_count");
}

/* "0x030000" */
static bool discovery_read_hex(struct udev_device *device, const char *name, uint32_t *ret)
{
        const char *text = udev_device_get_sysattr_value(device, name);

        return text && g_str_has_prefix(text, "0x") && parse_u32(text + strlen("0x"), 16, ret) >= 0;
}

static bool inventory_class_is_gpu(uint32_t class)
{
        /* Display controllers and processing accelerators. */
        return class >> 16 == 0x03 || class >> 16 == 0x12;
}

static bool inventory_id_is_admitted(const GArray *also, uint32_t id)
{
        for (guint i = 0; i < also->len; i++)
                if (g_array_index(also, uint32_t, i) == id)
                        return true;

        return false;
}

static bool discovery_is_admitted(struct udev_device *device, const GArray *also)
{
        uint32_t vendor, product;

        return also->len > 0 && discovery_read_hex(device, "vendor", &vendor) &&
               discovery_read_hex(device, "device", &product) && vendor <= UINT16_MAX &&
               product <= UINT16_MAX && inventory_id_is_admitted(also, vendor << 16 | product);
}

static bool discovery_pci_is_gpu(const Discovery *d, struct udev_device *device, VgpuIo *io, const char *path,
                                 bool *ret_admitted)
{
        uint32_t class;

        *ret_admitted = false;

        if (!discovery_read_hex(device, "class", &class))
                return false;

        if (!inventory_class_is_gpu(class)) {
                if (!discovery_is_admitted(device, d->also))
                        return false;

                *ret_admitted = true;
        }

        return discovery_is_pf(io, path);
}

/* Do not read the node if the function has the class of a GPU: it may be one of a thousand VFs, and the facts
 * of the GPU contain the node. */
static int discovery_read_node(struct udev_device *device)
{
        const char *text;
        uint32_t class;
        int32_t node;

        if (discovery_read_hex(device, "class", &class) && inventory_class_is_gpu(class))
                return -1;

        text = udev_device_get_sysattr_value(device, "numa_node");

        return text && parse_i32(text, &node) >= 0 && node >= 0 ? node : -1;
}

static const char *discovery_hwdb_value(struct udev_hwdb *hwdb, struct udev_device *device, const char *key)
{
        const char *modalias = udev_device_get_sysattr_value(device, "modalias");
        struct udev_list_entry *list;

        if (!hwdb || !modalias)
                return NULL;

        list = udev_hwdb_get_properties_list_entry(hwdb, modalias, 0);
        list = udev_list_entry_get_by_name(list, key);

        return list ? udev_list_entry_get_value(list) : NULL;
}

static void discovery_add_facts(Discovery *d, VgpuIo *io, const GpuSeed *seed, const GPtrArray *parents,
                                bool on_pci)
{
        GpuFacts *facts = NULL;

        /* Ignore a device that is being removed: its links go before its folder. */
        if (gpu_facts_read(io, seed, parents, &facts) < 0)
                return;

        /* A VF may look like a PF while it comes or goes, so check again. */
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

static void discovery_find_pci(Discovery *d, struct udev *udev, VgpuIo *io, const GPtrArray *parents)
{
        struct udev_enumerate *enumerate = udev_enumerate_new(udev);
        struct udev_hwdb *hwdb = udev_hwdb_new(udev);
        struct udev_list_entry *entry;

        udev_enumerate_add_match_subsystem(enumerate, "pci");
        udev_enumerate_scan_devices(enumerate);
        udev_list_entry_foreach(entry, udev_enumerate_get_list_entry(enumerate))
        {
                struct udev_device *device =
                                udev_device_new_from_syspath(udev, udev_list_entry_get_name(entry));
                const char *path = device ? inventory_below_sys(udev_device_get_syspath(device)) : NULL;
                bool admitted;
                if (path)
                        g_ptr_array_add(d->pci, inventory_pci_new(path, discovery_read_node(device)));
                if (path && discovery_pci_is_gpu(d, device, io, path, &admitted)) {
                        g_autofree char *vendor =
                                        g_strdup(discovery_hwdb_value(hwdb, device, "ID_VENDOR_FROM_DATABASE"));
                        g_autofree char *model =
                                        g_strdup(discovery_hwdb_value(hwdb, device, "ID_MODEL_FROM_DATABASE"));
                        GpuSeed seed = {
                                .name = udev_device_get_sysname(device),
                                .path = path,
                                .vendor_name = vendor,
                                .device_name = model,
                                .admitted = admitted,
                                .began_usec = d->began_usec,
                        };
                        discovery_add_facts(d, io, &seed, parents, true);
                }
                udev_device_unref(device);
        }
        udev_hwdb_unref(hwdb);
        udev_enumerate_unref(enumerate);
}

/* Find the GPUs that the PCI class does not show: a parent of mediated devices, or the PF of a parent that is a
 * VF. */
static void discovery_find_other_parents(Discovery *d, VgpuIo *io, const GPtrArray *parents)
{
        for (guint i = 0; i < parents->len; i++) {
                const MdevParent *p = parents->pdata[i];
                g_autofree char *path = NULL;

                if (discovery_have_facts(d, p->physfn ? p->physfn : p->name) || mdev_parent_is_gpu(io, p) != 1)
                        continue;

                if (p->physfn) {
                        g_autofree char *link = g_strconcat(p->path, "/physfn", NULL);

                        if (vgpu_io_resolve_link(io, link, &path) < 0)
                                continue;
                } else
                        path = g_strdup(p->path);

                GpuSeed seed = { .name = p->physfn ? p->physfn : p->name,
                                 .path = path,
                                 .began_usec = d->began_usec };
                discovery_add_facts(d, io, &seed, parents, p->physfn);
        }
}

static void discovery_run(LaneWork *w, VgpuIo *io)
{
        Discovery *d = (Discovery *)w;
        g_autoptr(GPtrArray) parents = NULL;
        struct udev *udev;

        assert_in_lane();

        d->began_usec = (uint64_t)g_get_monotonic_time();

        d->result = mdev_parents_read(io, &parents);
        if (d->result < 0)
                return;

        udev = udev_new();
        if (!udev) {
                d->result = -errno;
                return;
        }

        discovery_find_pci(d, udev, io, parents);
        udev_unref(udev);
        discovery_find_other_parents(d, io, parents);
}

/* ---- in the main thread ---- */

static void discovery_free(Discovery *d)
{
        g_ptr_array_unref(d->facts);
        g_ptr_array_unref(d->pci);
        g_array_unref(d->also);
        g_free(d);
}

static void inventory_learn_path(Inventory *inventory, const char *path, const GpuFacts *facts)
{
        g_hash_table_replace(inventory->names_by_path, g_strdup(path), g_strdup(facts->name));
}

static void inventory_learn_pci(Inventory *inventory, const char *path, int numa_node)
{
        g_hash_table_replace(inventory->pci, g_path_get_basename(path), inventory_pci_new(path, numa_node));
}

/* A new function has the NUMA node of its bridge, as in the kernel. */
static int inventory_node_of_bridge(const Inventory *inventory, const char *path)
{
        g_autofree char *folder = g_path_get_dirname(path), *name = g_path_get_basename(folder);
        const PciFunction *bridge = g_hash_table_lookup(inventory->pci, name);

        return bridge ? bridge->numa_node : -1;
}

static void inventory_forget_pci(Inventory *inventory, const char *path)
{
        g_autofree char *name = g_path_get_basename(path);

        g_hash_table_remove(inventory->pci, name);
}

const char *inventory_find_pci(const Inventory *inventory, const char *name, int *ret_node)
{
        const PciFunction *f = inventory ? g_hash_table_lookup(inventory->pci, name) : NULL;

        assert_main_thread();

        if (f && ret_node)
                *ret_node = f->numa_node;

        return f ? f->path : NULL;
}

static void inventory_learn_paths(Inventory *inventory, const GPtrArray *all, const GPtrArray *pci)
{
        g_hash_table_remove_all(inventory->pci);
        for (guint i = 0; i < pci->len; i++) {
                const PciFunction *f = pci->pdata[i];

                inventory_learn_pci(inventory, f->path, f->numa_node);
        }

        g_hash_table_remove_all(inventory->names_by_path);
        for (guint i = 0; i < all->len; i++) {
                const GpuFacts *f = all->pdata[i];

                inventory_learn_path(inventory, f->path, f);

                if (f->is_pci)
                        inventory_learn_pci(inventory, f->path, f->numa_node);
                for (guint j = 0; j < f->vfs->len; j++) {
                        const VgpuVf *vf = f->vfs->pdata[j];

                        inventory_learn_path(inventory, vf->path, f);
                        inventory_learn_pci(inventory, vf->path, f->numa_node);
                }

                for (guint j = 0; j < f->mdev_parents->len; j++)
                        inventory_learn_path(inventory, ((const MdevParent *)f->mdev_parents->pdata[j])->path,
                                             f);
        }
}

static void discovery_done(LaneWork *w)
{
        Discovery *d = (Discovery *)w;
        Inventory *inventory = d->inventory;

        if (inventory) {
                inventory->running = NULL;
                if (d->result < 0)
                        log_warning_errno(d->result, "Cannot discover GPUs: %m");
                else {
                        inventory_learn_paths(inventory, d->facts, d->pci);
                        inventory->done(inventory->model, d->facts, d->began_usec);
                }

                if (inventory->again) {
                        inventory->again = false;
                        inventory_request(inventory);
                }
        }

        discovery_free(d);
}

static void inventory_submit(Inventory *inventory)
{
        if (inventory->running) {
                inventory->again = true;
                return;
        }

        Discovery *d = g_new0(Discovery, 1);
        d->work = (LaneWork){ .run = discovery_run, .done = discovery_done };
        d->inventory = inventory;
        d->also = g_array_ref(inventory->model->config->also);
        d->facts = g_ptr_array_new_with_free_func(discovery_facts_destroy);
        d->pci = g_ptr_array_new_with_free_func(inventory_pci_free);
        inventory->running = d;
        lane_submit(inventory->lane, &d->work);
}

static void on_events_debounced(void *userdata)
{
        inventory_submit(userdata);
}

void inventory_request(Inventory *inventory)
{
        assert_main_thread();

        if (inventory && inventory->lane)
                debounce_start(&inventory->debounce, inventory->model->event, INVENTORY_DEBOUNCE_USEC,
                               "the host", on_events_debounced, inventory);
}

static bool inventory_path_is_below(const char *path, const char *folder)
{
        size_t n = strlen(folder);

        return strncmp(path, folder, n) == 0 && (path[n] == 0 || path[n] == '/');
}

/* The GPU of the device, VF or mediated device parent at exactly this path. */
static Gpu *inventory_find_gpu_at(const Inventory *inventory, const char *path)
{
        const char *name = g_hash_table_lookup(inventory->names_by_path, path);

        return name ? model_get_gpu(inventory->model, name) : NULL;
}

/* The same for this path or the nearest folder above it. Walk up the path: it has about a dozen components,
 * while a comparison with all known paths would visit a thousand VFs. */
static Gpu *inventory_find_gpu_above(const Inventory *inventory, const char *path)
{
        g_autofree char *rest = g_strdup(path);
        char *slash;
        Gpu *gpu;

        for (;;) {
                gpu = inventory_find_gpu_at(inventory, rest);
                slash = strrchr(rest, '/');
                if (gpu || !slash)
                        return gpu;

                *slash = 0;
        }
}

static bool inventory_event_is_of_gpu(const Inventory *inventory, struct udev_device *device)
{
        const char *class = udev_device_get_property_value(device, "PCI_CLASS"),
                   *id = udev_device_get_property_value(device, "PCI_ID");
        uint16_t vendor, product;
        uint32_t v;

        /* The kernel writes both properties in capitals, the class without leading zeros: "30000", "8086:10C9".
         */
        if (class && parse_u32(class, 16, &v) >= 0 && inventory_class_is_gpu(v))
                return true;

        if (!id)
                return false;

        g_auto(GStrv) parts = g_strsplit(id, ":", 2);

        return parts[0] && parts[1] && parse_u16(parts[0], 16, &vendor) >= 0 &&
               parse_u16(parts[1], 16, &product) >= 0 &&
               inventory_id_is_admitted(inventory->model->config->also, (uint32_t)vendor << 16 | product);
}

/* The kernel driver of a GPU or of one of its VFs has changed. A scan finds the driver of a VF. A discovery is
 * needed only if the files by which vgpud chooses the back end may have changed. */
static void inventory_handle_driver_change(Inventory *inventory, Gpu *gpu, const char *path)
{
        if (strcmp(gpu->facts->path, path) == 0 || gpu_facts_follow_vf_drivers(gpu->facts))
                inventory_request(inventory);
        else
                gpu_want_scan(gpu, GPU_SCAN_SOON);
}

static void inventory_handle_pci_event(Inventory *inventory, struct udev_device *device, const char *path)
{
        const char *action = udev_device_get_action(device);
        Gpu *gpu = inventory_find_gpu_at(inventory, path);

        if (g_strcmp0(action, "add") == 0)
                inventory_learn_pci(inventory, path, inventory_node_of_bridge(inventory, path));
        else if (g_strcmp0(action, "remove") == 0)
                inventory_forget_pci(inventory, path);

        if (gpu && (g_strcmp0(action, "bind") == 0 || g_strcmp0(action, "unbind") == 0))
                inventory_handle_driver_change(inventory, gpu, path);
        else if (gpu || inventory_event_is_of_gpu(inventory, device) ||
                 inventory_find_gpu_above(inventory, path))
                inventory_request(inventory);
        /* The function may be a new VF of an admitted PF: the id of a VF differs from the PF's. */
        else if (inventory->running && inventory->model->config->also->len > 0)
                inventory_request(inventory);
}

/* PATH/vfio-dev/vfioN. Mediated devices have events of their own. */
static void inventory_handle_vfio_event(Inventory *inventory, const char *path)
{
        g_autofree char *class = g_path_get_dirname(path), *device = g_path_get_dirname(class);
        g_autofree char *name = g_path_get_basename(device);
        Gpu *gpu = inventory_find_gpu_at(inventory, device);
        PciAddr address;

        if (gpu)
                inventory_handle_driver_change(inventory, gpu, device);
        /* The device may be a new VF that the running discovery has missed. */
        else if (inventory->running && pci_addr_parse(name, &address) >= 0)
                inventory_request(inventory);
}

static void inventory_handle_xengt_event(Inventory *inventory)
{
        GHashTableIter iter;
        Gpu *gpu;

        g_hash_table_iter_init(&iter, inventory->model->gpus);
        while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&gpu))
                if (gpu->facts->features & VGPU_FEATURE_XENGT)
                        gpu_want_scan(gpu, GPU_SCAN_SOON);
}

static void inventory_handle_event(Inventory *inventory, struct udev_device *device)
{
        const char *subsystem = udev_device_get_subsystem(device),
                   *path = inventory_below_sys(udev_device_get_syspath(device));
        Gpu *gpu;

        if (!path)
                return;

        if (udev_device_get_property_value(device, "MDEV_STATE")) {
                inventory_request(inventory);
                return;
        }

        if (g_strcmp0(subsystem, "mdev") == 0) {
                gpu = inventory_find_gpu_above(inventory, path);
                if (gpu)
                        gpu_want_scan(gpu, GPU_SCAN_SOON);
                else
                        inventory_request(inventory);
        } else if (g_strcmp0(subsystem, "pci") == 0)
                inventory_handle_pci_event(inventory, device, path);
        else if (g_strcmp0(subsystem, "vfio-dev") == 0)
                inventory_handle_vfio_event(inventory, path);
        else if (inventory_path_is_below(path, XENGT_PATH))
                inventory_handle_xengt_event(inventory);
}

static void inventory_rescan_all(Inventory *inventory)
{
        GHashTableIter iter;
        Gpu *gpu;

        inventory_request(inventory);
        g_hash_table_iter_init(&iter, inventory->model->gpus);
        while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&gpu))
                gpu_want_scan(gpu, GPU_SCAN_SOON);
}

static int on_udev(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
        Inventory *inventory = userdata;

        for (unsigned i = 0; i < EVENTS_PER_TURN; i++) {
                errno = 0;
                struct udev_device *device = udev_monitor_receive_device(inventory->monitor);
                if (device) {
                        inventory_handle_event(inventory, device);
                        udev_device_unref(device);
                        continue;
                }

                if (errno == ENOBUFS) {
                        LOG_FIELDS(LOG_WARNING, (.message_id = VGPUD_MESSAGE_EVENTS_LOST),
                                   "The kernel dropped device events, scanning all GPUs again");
                        inventory_rescan_all(inventory);
                }

                break;
        }

        return 0;
}

int inventory_start(Model *m, InventoryDone done, Inventory **ret)
{
        Inventory *inventory = g_new0(Inventory, 1);
        int r;

        assert_main_thread();

        inventory->model = m;
        inventory->done = done;
        inventory->names_by_path = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
        inventory->pci = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, inventory_pci_free);
        inventory->lane = lane_new(m->lanes, LANE_NAME);
        *ret = inventory; /* freed by the manager, even after an error */

        /* Listen before the first discovery, so that no event is lost. Do not filter by subsystem: the parent
         * of a mediated device may belong to any. */
        inventory->udev = udev_new();

        inventory->monitor = inventory->udev ? udev_monitor_new_from_netlink(inventory->udev, "udev") : NULL;
        if (!inventory->monitor)
                return log_error_errno(errno > 0 ? -errno : -EIO, "Cannot listen to udev: %m");

        r = udev_monitor_set_receive_buffer_size(inventory->monitor, MONITOR_BUFFER_BYTES);
        if (r < 0)
                log_debug_errno(r, "Cannot enlarge the buffer for device events, ignoring: %m");
        r = udev_monitor_enable_receiving(inventory->monitor);
        if (r < 0)
                return log_error_errno(r, "Cannot listen to udev: %m");

        r = sd_event_add_io(m->event, &inventory->source, udev_monitor_get_fd(inventory->monitor), EPOLLIN,
                            on_udev, inventory);
        if (r < 0)
                return log_error_errno(r, "Cannot watch device events: %m");

        inventory_submit(inventory);

        return 0;
}

bool inventory_is_busy(const Inventory *inventory)
{
        assert_main_thread();

        return inventory && inventory->running;
}

void inventory_stop(Inventory *inventory)
{
        assert_main_thread();

        if (!inventory)
                return;

        inventory->source = sd_event_source_disable_unref(inventory->source);
        inventory->debounce = debounce_free(inventory->debounce);

        if (inventory->running) {
                inventory->running->inventory = NULL;
                if (lane_cancel(inventory->lane, &inventory->running->work))
                        discovery_free(inventory->running);
                inventory->running = NULL;
        }

        inventory->lane = lane_release(inventory->lane);
}

Inventory *inventory_free(Inventory *inventory)
{
        assert_main_thread();

        if (!inventory)
                return NULL;

        inventory_stop(inventory);
        udev_monitor_unref(inventory->monitor);
        udev_unref(inventory->udev);
        g_hash_table_unref(inventory->names_by_path);
        g_hash_table_unref(inventory->pci);
        g_free(inventory);

        return NULL;
}
