/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "daemon/discovery/inventory.h"

#include <libudev.h>
#include <string.h>

#include "base/log-ids.h"
#include "base/log.h"
#include "base/parse-util.h"
#include "base/thread.h"
#include "base/time-util.h"
#include "daemon/discovery/discovery.h"
#include "daemon/model/gpu.h"
#include "daemon/work/debounce.h"
#include "daemon/work/lane.h"
#include "daemon/work/scan.h"
#include "daemon/model/model.h"

#define INVENTORY_DEBOUNCE_USEC (20 * USEC_PER_MSEC)
/* Enough for the events of a host on which every GPU enables its VFs at the same time. */
#define MONITOR_BUFFER_BYTES (16 * 1024 * 1024)
#define LANE_NAME            "+inventory" /* not a sysfs name; further lanes are "+inventory-1" and so on */
#define EVENTS_PER_TURN      64
#define XENGT_PATH           "kernel/vgt"

/* Time that a read may take before its device counts as blocked: PATIENCE_USEC, or a quarter of [start] timeout
 * if that is shorter. The time is halved for each further blocked device, so that several blocked devices do
 * not delay the start, but is never below PATIENCE_MIN_USEC. */
#define PATIENCE_USEC     (1 * USEC_PER_SEC)
#define PATIENCE_MIN_USEC (100 * USEC_PER_MSEC)
/* Limit of discoveries, each with a thread, that wait for blocked devices. */
#define ABANDONED_MAX 64

struct Inventory {
        Model *model; /* borrowed */
        Lane *lane;   /* owned */
        unsigned lane_number;
        InventoryDone done;
        struct udev *udev;
        struct udev_monitor *monitor;
        sd_event_source *source;   /* owned */
        Debounce *debounce;        /* owned; NULL: no discovery is delayed */
        sd_event_source *watchdog; /* owned; of the running discovery */
        Discovery *running;        /* borrowed; NULL: none */
        GPtrArray *abandoned;      /* owned: Discovery (borrowed) that were abandoned and have not returned */
        GPtrArray *blocked;        /* owned: BlockedDevice, one per device that blocks an abandoned discovery */
        unsigned n_blocked_in_turn; /* discoveries in a row that were abandoned */
        bool again;                 /* another discovery must follow the running one */
        /* Path (owned) of GPUs, VFs and mediated device parents -> name (owned) of the GPU, from the last
         * discovery. */
        GHashTable *names_by_path; /* owned */
        GHashTable *pci;           /* owned: name (owned) of every PCI function -> PciFunction (owned) */
};

static const char *inventory_below_sys(const char *syspath)
{
        return syspath && g_str_has_prefix(syspath, "/sys/") ? syspath + strlen("/sys/") : NULL;
}

/* ---- paths ---- */

static void inventory_learn_path(Inventory *inventory, const char *path, const GpuFacts *facts)
{
        g_hash_table_replace(inventory->names_by_path, g_strdup(path), g_strdup(facts->name));
}

static void inventory_learn_pci(Inventory *inventory, const char *path, int numa_node)
{
        g_hash_table_replace(inventory->pci, g_path_get_basename(path), pci_function_new(path, numa_node));
}

/* The NUMA node of a new function: that of its bridge, as in the kernel. */
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

static void inventory_learn_gpu(Inventory *inventory, const GpuFacts *f)
{
        inventory_learn_path(inventory, f->path, f);

        if (f->is_pci)
                inventory_learn_pci(inventory, f->path, f->numa_node);
        for (guint i = 0; i < f->vfs->len; i++) {
                const VgpuVf *vf = f->vfs->pdata[i];

                inventory_learn_path(inventory, vf->path, f);
                inventory_learn_pci(inventory, vf->path, f->numa_node);
        }

        for (guint i = 0; i < f->mdev_parents->len; i++)
                inventory_learn_path(inventory, ((const MdevParent *)f->mdev_parents->pdata[i])->path, f);
}

/* GPUs of `blocked` (BlockedDevice) keep their earlier paths. */
static void inventory_learn_paths(Inventory *inventory, const GPtrArray *all, const GPtrArray *pci,
                                  const GPtrArray *blocked)
{
        g_hash_table_remove_all(inventory->pci);
        for (guint i = 0; i < pci->len; i++) {
                const PciFunction *f = pci->pdata[i];

                inventory_learn_pci(inventory, f->path, f->numa_node);
        }

        g_hash_table_remove_all(inventory->names_by_path);
        for (guint i = 0; i < all->len; i++)
                inventory_learn_gpu(inventory, all->pdata[i]);

        for (guint i = 0; i < blocked->len; i++) {
                const Gpu *gpu = model_get_gpu(inventory->model,
                                               ((const BlockedDevice *)blocked->pdata[i])->name);

                if (gpu)
                        inventory_learn_gpu(inventory, gpu->facts);
        }
}

/* ---- discoveries that block ---- */

static uint64_t inventory_get_patience(const Inventory *inventory)
{
        uint64_t usec = MIN(PATIENCE_USEC, inventory->model->config->start_timeout_usec / 4);

        return MAX(usec >> MIN(inventory->n_blocked_in_turn, 8), PATIENCE_MIN_USEC);
}

/* Open a lane with the smallest free number. It takes no lock, because it only reads. */
static void inventory_open_lane(Inventory *inventory)
{
        g_autofree char *name = NULL;
        unsigned number = 0;

        for (guint i = 0; i < inventory->abandoned->len; i++)
                if (((const Discovery *)inventory->abandoned->pdata[i])->lane_number == number) {
                        number++;
                        i = UINT_MAX; /* from the beginning */
                }

        name = number == 0 ? g_strdup(LANE_NAME) : g_strdup_printf(LANE_NAME "-%u", number);
        inventory->lane = lane_new_reader(inventory->model->lanes, name);
        inventory->lane_number = number;
}

/* Ask for a discovery, after which arrivals.c decides whether a known GPU is stuck by now. */
static int on_blocked_too_long(sd_event_source *source, uint64_t usec, void *userdata)
{
        Discovery *d = userdata;

        d->deadline = sd_event_source_disable_unref(d->deadline);
        inventory_request(d->inventory);

        return 0;
}

static void inventory_note_blocked(Inventory *inventory, const BlockedDevice *b)
{
        BlockedDevice *known = blocked_device_find(inventory->blocked, b->name);

        if (!known) {
                known = blocked_device_copy(b);
                g_ptr_array_add(inventory->blocked, known);
        }

        known->tries++;
        LOG_FIELDS(LOG_WARNING, (.gpu = b->name),
                   "A read of /sys/%s does not return, discovering GPUs without the files of %s", b->file,
                   b->name);
}

static void inventory_submit(Inventory *inventory);

/* Abandon the running discovery, whose read does not return, and start another discovery without the device. */
static void inventory_abandon(Inventory *inventory, const BlockedDevice *b)
{
        Discovery *d = inventory->running;
        int r;

        io_watch_stop(&d->watch);
        inventory_note_blocked(inventory, b);
        inventory->n_blocked_in_turn++;

        d->blocker = g_strdup(b->name);
        d->lane = g_steal_pointer(&inventory->lane);
        d->lane_number = inventory->lane_number;
        g_ptr_array_add(inventory->abandoned, d);

        r = sd_event_add_time_relative(inventory->model->event, &d->deadline, CLOCK_MONOTONIC,
                                       inventory->model->config->job_timeout_usec, 10 * USEC_PER_MSEC,
                                       on_blocked_too_long, d);
        if (r < 0)
                log_warning_errno(
                                r,
                                "Cannot set a deadline for a blocked read, continuing without a deadline: %m");

        inventory->running = NULL;
        inventory_open_lane(inventory);
        inventory_submit(inventory);
}

static void inventory_watch(Inventory *inventory, uint64_t usec);

static int on_watchdog(sd_event_source *source, uint64_t usec, void *userdata)
{
        Inventory *inventory = userdata;
        uint64_t patience = inventory_get_patience(inventory), age;
        BlockedDevice *b = NULL;

        inventory->watchdog = sd_event_source_disable_unref(inventory->watchdog);

        if (!inventory->running)
                return 0;

        age = discovery_get_age(inventory->running, &b);
        if (age < patience)
                inventory_watch(inventory, patience - age);
        else if (b->name && inventory->abandoned->len < ABANDONED_MAX)
                inventory_abandon(inventory, b);
        else {
                if (!inventory->running->told)
                        log_warning("A read of /sys/%s does not return, waiting for it", b->file);
                inventory->running->told = true;
                inventory_watch(inventory, patience);
        }

        blocked_device_free(b);

        return 0;
}

static void inventory_watch(Inventory *inventory, uint64_t usec)
{
        int r = sd_event_add_time_relative(inventory->model->event, &inventory->watchdog, CLOCK_MONOTONIC, usec,
                                           10 * USEC_PER_MSEC, on_watchdog, inventory);

        if (r < 0)
                log_warning_errno(
                                r,
                                "Cannot watch the discovery of GPUs for blocked reads, continuing without a watch: %m");
}

static void discovery_started(LaneWork *w)
{
        Inventory *inventory = ((Discovery *)w)->inventory;

        if (!inventory || inventory->running != (Discovery *)w)
                return;

        inventory->watchdog = sd_event_source_disable_unref(inventory->watchdog);
        inventory_watch(inventory, inventory_get_patience(inventory));
}

/* The blocked read of an abandoned discovery has returned: let the next discovery read the device again, unless
 * the device still blocks another abandoned discovery. */
static void inventory_return(Inventory *inventory, Discovery *d)
{
        bool others = false;

        g_ptr_array_remove_fast(inventory->abandoned, d);
        d->lane = lane_release(d->lane);

        for (guint i = 0; i < inventory->abandoned->len; i++)
                others |= strcmp(((const Discovery *)inventory->abandoned->pdata[i])->blocker, d->blocker) == 0;
        if (!others)
                g_ptr_array_remove_fast(inventory->blocked,
                                        blocked_device_find(inventory->blocked, d->blocker));

        inventory_request(inventory);
}

/* ---- discoveries ---- */

static void inventory_finish(Inventory *inventory, Discovery *d)
{
        inventory->running = NULL;
        inventory->watchdog = sd_event_source_disable_unref(inventory->watchdog);
        inventory->n_blocked_in_turn = 0;

        for (guint i = 0; i < d->blocked->len; i++) {
                const BlockedDevice *b = d->blocked->pdata[i];
                BlockedDevice *known = blocked_device_find(inventory->blocked, b->name);

                if (known)
                        known->kind = b->kind;
        }

        if (d->result < 0)
                log_warning_errno(d->result, "Cannot discover GPUs: %m");
        else {
                inventory_learn_paths(inventory, d->facts, d->pci, d->blocked);
                inventory->done(inventory->model, d->facts, d->blocked, d->began_usec);
        }

        if (inventory->again) {
                inventory->again = false;
                inventory_request(inventory);
        }
}

static void discovery_done(LaneWork *w)
{
        Discovery *d = (Discovery *)w;

        if (d->inventory && d->inventory->running == d)
                inventory_finish(d->inventory, d);
        else if (d->inventory)
                inventory_return(d->inventory, d);

        discovery_free(d);
}

static void inventory_submit(Inventory *inventory)
{
        if (inventory->running) {
                inventory->again = true;
                return;
        }

        Discovery *d = discovery_new(inventory->model->config->also, inventory->blocked);
        d->work.started = discovery_started;
        d->work.done = discovery_done;
        d->inventory = inventory;
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

/* The GPU of the device at this path or at the nearest folder above. Walk up the path, which has about a dozen
 * components: a comparison with all known paths would visit a thousand VFs. */
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
        if (class && parse_u32(class, 16, &v) >= 0 && discovery_class_is_gpu(v))
                return true;

        if (!id)
                return false;

        g_auto(GStrv) parts = g_strsplit(id, ":", 2);

        return parts[0] && parts[1] && parse_u16(parts[0], 16, &vendor) >= 0 &&
               parse_u16(parts[1], 16, &product) >= 0 &&
               discovery_id_is_admitted(inventory->model->config->also, (uint32_t)vendor << 16 | product);
}

/* Handle a change of the kernel driver of a GPU or of one of its VFs. A scan finds the new driver of a VF. A
 * discovery is needed only if the files by which vgpud chooses the back end may have changed. */
static void inventory_handle_driver_change(Inventory *inventory, Gpu *gpu, const char *path)
{
        g_autofree char *name = g_path_get_basename(path);

        if (strcmp(gpu->facts->path, path) == 0 || gpu_facts_follow_vf_drivers(gpu->facts)) {
                inventory_request(inventory);
                return;
        }

        gpu_want_scan(gpu, GPU_SCAN_SOON);
        scan_parent(gpu, name);
}

/* Handle an event of a mediated device. `path`: the path of the parent, "/" and the UUID. */
static void inventory_handle_mdev_event(Inventory *inventory, struct udev_device *device, const char *path)
{
        g_autofree char *parent_path = g_path_get_dirname(path), *parent = g_path_get_basename(parent_path);
        g_autofree char *uuid = g_path_get_basename(path);
        const char *action = udev_device_get_action(device);
        Gpu *gpu = inventory_find_gpu_above(inventory, path);

        if (!gpu) {
                inventory_request(inventory);
                return;
        }

        gpu_want_scan(gpu, GPU_SCAN_SOON);
        scan_instance(gpu, parent, uuid, g_strcmp0(action, "remove") == 0 || g_strcmp0(action, "unbind") == 0);
}

static void inventory_handle_pci_event(Inventory *inventory, struct udev_device *device, const char *path)
{
        const char *action = udev_device_get_action(device);
        Gpu *gpu = inventory_find_gpu_at(inventory, path);

        if (g_strcmp0(action, "change") != 0)
                MODEL_EMIT(inventory->model, device_moved, path);
        if (g_strcmp0(action, "add") == 0)
                inventory_learn_pci(inventory, path, inventory_node_of_bridge(inventory, path));
        else if (g_strcmp0(action, "remove") == 0)
                inventory_forget_pci(inventory, path);

        if (gpu && (g_strcmp0(action, "bind") == 0 || g_strcmp0(action, "unbind") == 0))
                inventory_handle_driver_change(inventory, gpu, path);
        else if (gpu || inventory_event_is_of_gpu(inventory, device) ||
                 inventory_find_gpu_above(inventory, path))
                inventory_request(inventory);
        /* The PCI function may be a new VF of an admitted PF. The id of a VF differs from the PF's, and the
         * inventory does not know the path of the VF until the running discovery has ended. */
        else if (inventory->running && inventory->model->config->also->len > 0)
                inventory_request(inventory);
}

/* Handle an event of a VFIO node. `path`: the path of the device and "/vfio-dev/vfioN". The node of a
 * mediated device is ignored: inventory_handle_mdev_event() handles the events of the device. */
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

/* Scan the GPUs with one of these features; 0: all GPUs. */
static void inventory_scan_gpus(Inventory *inventory, unsigned features)
{
        GHashTableIter iter;
        Gpu *gpu;

        g_hash_table_iter_init(&iter, inventory->model->gpus);
        while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&gpu))
                if (features == 0 || (gpu->facts->features & features))
                        gpu_want_scan(gpu, GPU_SCAN_SOON);
}

/* Handle the load or unload of a kernel driver (/bus/BUS/drivers/NAME). If it is a VFIO driver, scan all GPUs,
 * because a GPU without a VFIO driver is unprepared. Also discover: NVIDIA's vGPU manager registers such a
 * driver, and the facts say whether the manager is loaded. */
static void inventory_handle_vfio_driver(Inventory *inventory, const char *path)
{
        g_autofree char *name = g_path_get_basename(path);

        if (!strstr(name, "vfio"))
                return;

        inventory_request(inventory);
        inventory_scan_gpus(inventory, 0);
}

static void inventory_handle_event(Inventory *inventory, struct udev_device *device)
{
        const char *subsystem = udev_device_get_subsystem(device),
                   *path = inventory_below_sys(udev_device_get_syspath(device));

        if (!path)
                return;

        if (udev_device_get_property_value(device, "MDEV_STATE")) {
                MODEL_EMIT(inventory->model, device_moved, path);
                inventory_request(inventory);
                return;
        }

        if (g_strcmp0(subsystem, "mdev") == 0)
                inventory_handle_mdev_event(inventory, device, path);
        else if (g_strcmp0(subsystem, "pci") == 0)
                inventory_handle_pci_event(inventory, device, path);
        else if (g_strcmp0(subsystem, "vfio-dev") == 0)
                inventory_handle_vfio_event(inventory, path);
        else if (g_strcmp0(subsystem, "drivers") == 0)
                inventory_handle_vfio_driver(inventory, path);
        else if (inventory_path_is_below(path, XENGT_PATH))
                inventory_scan_gpus(inventory, VGPU_FEATURE_XENGT);
}

static void inventory_rescan_all(Inventory *inventory)
{
        inventory_request(inventory);
        inventory_scan_gpus(inventory, 0);
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
                        MODEL_EMIT(inventory->model, device_moved, NULL);
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
        inventory->pci = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, pci_function_free);
        inventory->abandoned = g_ptr_array_new();
        inventory->blocked = g_ptr_array_new_with_free_func(blocked_device_free);
        inventory_open_lane(inventory);
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
        inventory->watchdog = sd_event_source_disable_unref(inventory->watchdog);

        if (inventory->running) {
                inventory->running->inventory = NULL;
                if (lane_cancel(inventory->lane, &inventory->running->work))
                        discovery_free(inventory->running);
                inventory->running = NULL;
        }

        for (guint i = 0; i < inventory->abandoned->len; i++) {
                Discovery *d = inventory->abandoned->pdata[i];

                d->inventory = NULL;
                d->deadline = sd_event_source_disable_unref(d->deadline);
                d->lane = lane_release(d->lane);
        }

        g_ptr_array_set_size(inventory->abandoned, 0);
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
        g_ptr_array_unref(inventory->abandoned);
        g_ptr_array_unref(inventory->blocked);
        g_hash_table_unref(inventory->names_by_path);
        g_hash_table_unref(inventory->pci);
        g_free(inventory);

        return NULL;
}
