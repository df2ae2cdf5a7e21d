/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* GPUs and their functions; see gpu.h. */

#include "simhost/gpu.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static GPtrArray *gpus;
static GHashTable *functions;       /* address → GpuFunction, fixed once the models are built */
static GHashTable *virtual_devices; /* name → Device or NULL */

/* Routing id arithmetic: a virtual function may be on another device and bus number than the physical one. */
static const char *virtual_address(const char *physical, unsigned distance)
{
        unsigned domain, bus, device, function, id;
        g_autofree char *address = NULL;

        if (sscanf(physical, "%x:%x:%x.%x", &domain, &bus, &device, &function) != 4)
                abort();
        id = (bus << 8 | device << 3 | function) + distance;
        address = g_strdup_printf("%04x:%02x:%02x.%x", domain, id >> 8, id >> 3 & 0x1f, id & 7);
        return g_intern_string(address);
}

Gpu *gpu_new(const PciSpec *spec, const char *driver, bool has_drm, unsigned n_vfs, unsigned vf_device_id,
             unsigned vf_offset, unsigned vf_stride)
{
        Gpu *gpu = g_new0(Gpu, 1);

        if (!gpus) {
                gpus = g_ptr_array_new();
                functions = g_hash_table_new(g_str_hash, g_str_equal);
        }
        gpu->driver = driver;
        gpu->has_drm = has_drm;
        gpu->vf_device_id = vf_device_id;
        gpu->vf_offset = vf_offset;
        gpu->vf_stride = vf_stride;
        gpu->drm = g_ptr_array_new();
        gpu->n_functions = 1 + n_vfs;
        gpu->functions = g_new0(GpuFunction, gpu->n_functions);

        for (unsigned i = 0; i < gpu->n_functions; i++) {
                GpuFunction *function = &gpu->functions[i];

                function->gpu = gpu;
                function->spec = *spec;
                function->spec.is_display = i == 0 && spec->is_display;
                if (i > 0) {
                        function->spec.address =
                                        virtual_address(spec->address, vf_offset + (i - 1) * vf_stride);
                        function->spec.device = vf_device_id;
                        function->spec.virtual_index = i - 1;
                }
                g_hash_table_insert(functions, (char *)function->spec.address, function);
        }
        g_ptr_array_add(gpus, gpu);
        return gpu;
}

/* abi of sriov_numvfs: not a number, too many, no change; NVIDIA's driver has no sriov_configure(). */
static int store_numvfs(Node *node, const char *bytes, size_t length)
{
        g_autofree char *text = g_strchomp(g_strdup(bytes));
        char *end;
        unsigned long wanted;
        const Gpu *gpu;
        int r;

        errno = 0;
        wanted = strtoul(text, &end, 0);
        if (!g_ascii_isdigit(text[0]) || *end || errno != 0 || wanted > G_MAXUINT16)
                return -EINVAL;

        tree_lock();
        gpu = node->data;
        if (node->removed)
                r = -ENODEV;
        else if (wanted > gpu->n_functions - 1)
                r = -ERANGE;
        else
                r = wanted == gpu->n_functions - 1 ? 0 : -ENOENT;
        tree_unlock();
        return r;
}

static int show_numvfs(Node *node, GString *text)
{
        g_string_append_printf(text, "%u\n", ((const Gpu *)node->data)->n_functions - 1);
        return 0;
}

static const NodeOps numvfs_ops = { .show = show_numvfs, .store = store_numvfs };

static int store_autoprobe(Node *node, const char *bytes, size_t length)
{
        if (!bytes[0] || !strchr("01yYnN", bytes[0]))
                return -EINVAL;
        tree_lock();
        node_set_text(node, strchr("1yY", bytes[0]) ? "1\n" : "0\n");
        tree_unlock();
        return 0;
}

static const NodeOps autoprobe_ops = { .store = store_autoprobe };

static void add_sriov_files(Gpu *gpu)
{
        Node *directory = gpu->functions[0].device->directory;

        node_add_format(directory, "sriov_totalvfs", 0444, "%u\n", gpu->n_functions - 1);
        node_add_attribute(directory, "sriov_numvfs", 0644, &numvfs_ops, gpu);
        node_add_format(directory, "sriov_offset", 0444, "%u\n", gpu->vf_offset);
        node_add_format(directory, "sriov_stride", 0444, "%u\n", gpu->vf_stride);
        node_add_format(directory, "sriov_vf_device", 0444, "%x\n", gpu->vf_device_id);
        node_add_text(directory, "sriov_drivers_autoprobe", 0644, &autoprobe_ops, "1\n");
        node_add_text(directory, "sriov_vf_total_msix", 0444, NULL, "0\n");
        node_add_text(directory, "ari_enabled", 0444, NULL, "1\n");
}

/* The driver's probe. */
static void function_bind(GpuFunction *function)
{
        Gpu *gpu = function->gpu;

        device_module(gpu->driver);
        device_set_driver(function->device, gpu->driver);
        function->bound = true;
        if (function == gpu->functions && gpu->has_drm)
                drm_add(function->device, gpu->drm);
        if (function->parent && !function->parent->registered)
                mdev_parent_register(function->parent, function->device);
        device_event(function->device, "bind", NULL);

        /* The virtual functions stay when the GPU's driver goes; what they offer comes back with it. */
        if (function == gpu->functions)
                for (unsigned i = 1; i < gpu->n_functions; i++) {
                        GpuFunction *virtual = &gpu->functions[i];

                        if (virtual->parent && virtual->bound && !virtual->parent->registered)
                                mdev_parent_register(virtual->parent, virtual->device);
                }
}

static void function_plug(GpuFunction *function)
{
        Gpu *gpu = function->gpu;
        bool physical = function == gpu->functions;

        if (!physical)
                function->spec.physical = gpu->functions[0].device;
        function->device = pci_add(&function->spec);
        if (physical && gpu->n_functions > 1)
                add_sriov_files(gpu);
        device_event(function->device, "add", NULL);
        if (!physical)
                device_event(function->device, "change", NULL);
        function_bind(function);
}

int gpu_plug(Gpu *gpu)
{
        if (gpu->functions[0].device)
                return -EEXIST;
        for (unsigned i = 0; i < gpu->n_functions; i++)
                function_plug(&gpu->functions[i]);
        if (gpu->n_functions > 1)
                device_event(gpu->functions[0].device, "change", NULL);
        return 0;
}

static GpuFunction *find_function(const char *address)
{
        return functions ? g_hash_table_lookup(functions, address) : NULL;
}

static void function_unregister(GpuFunction *function)
{
        if (function->parent)
                (void)mdev_parent_unregister(function->parent); /* -ENODEV: it was not registered */
}

/* Without the lock: unregistering may wait for a guest. */
static int function_unbind(GpuFunction *function)
{
        Gpu *gpu = function->gpu;

        if (function == gpu->functions)
                for (unsigned i = 1; i < gpu->n_functions; i++)
                        function_unregister(&gpu->functions[i]);
        function_unregister(function);

        tree_lock();
        if (function->bound) {
                if (function == gpu->functions)
                        drm_del(gpu->drm);
                device_set_driver(function->device, NULL);
                function->bound = false;
                device_event(function->device, "unbind", NULL);
        }
        tree_unlock();
        return 0;
}

int gpu_plug_by_address(const char *address)
{
        GpuFunction *function = find_function(address);
        int r;

        if (!function || function != function->gpu->functions)
                return -ENODEV;
        tree_lock();
        r = gpu_plug(function->gpu);
        tree_unlock();
        return r;
}

int gpu_unplug_by_address(const char *address)
{
        GpuFunction *physical = find_function(address);

        if (!physical || physical != physical->gpu->functions || !physical->device)
                return -ENODEV;

        for (unsigned i = physical->gpu->n_functions; i > 0; i--) {
                GpuFunction *function = &physical->gpu->functions[i - 1];

                (void)function_unbind(function);
                tree_lock();
                device_event(function->device, "remove", NULL);
                pci_del(function->device);
                function->device = NULL;
                tree_unlock();
        }
        return 0;
}

int gpu_bind_by_address(const char *driver, const char *address)
{
        GpuFunction *function = find_function(address);
        int r = 0;

        if (!function)
                return -ENODEV;
        tree_lock();
        if (!function->device || (driver && !g_str_equal(driver, function->gpu->driver)))
                r = -ENODEV;
        else if (function->bound)
                r = -EBUSY;
        else
                function_bind(function);
        tree_unlock();
        return r;
}

int gpu_unbind_by_address(const char *driver, const char *address)
{
        GpuFunction *function = find_function(address);
        bool bound;

        if (!function)
                return -ENODEV;
        tree_lock();
        bound = function->device && function->bound && (!driver || g_str_equal(driver, function->gpu->driver));
        tree_unlock();
        return bound ? function_unbind(function) : -ENODEV;
}

static void add_virtual_device(MdevParent *parent)
{
        g_autofree char *path = g_strdup_printf("devices/virtual/%s", parent->name);
        DeviceSpec spec = {
                .parent = node_make_path(device_sys(), path),
                .name = parent->name,
                .subsystem = parent->name,
                .is_class = true,
        };
        Device *device = device_add(&spec);

        g_hash_table_insert(virtual_devices, parent->name, device);
        device_event(device, "add", NULL);
        mdev_parent_register(parent, device);
}

void gpu_add_virtual_parent(MdevParent *parent)
{
        if (!virtual_devices)
                virtual_devices = g_hash_table_new(g_str_hash, g_str_equal);
        add_virtual_device(parent);
}

/* A virtual parent comes and goes with its module, a PCI function stays when the module that registers it goes.
 */
int gpu_register_by_name(const char *name)
{
        const GpuFunction *function = find_function(name);
        MdevParent *parent;
        int r = 0;

        tree_lock();
        parent = mdev_parent_find(name);
        if (!parent || (function && !function->device))
                r = -ENODEV;
        else if (parent->registered)
                r = -EEXIST;
        else if (function)
                mdev_parent_register(parent, function->device);
        else
                add_virtual_device(parent);
        tree_unlock();
        return r;
}

int gpu_unregister_by_name(const char *name)
{
        MdevParent *parent;
        Device *device;
        int r;

        tree_lock();
        parent = mdev_parent_find(name);
        tree_unlock();
        r = parent ? mdev_parent_unregister(parent) : -ENODEV;
        if (r < 0 || find_function(name))
                return r;

        tree_lock();
        device = g_hash_table_lookup(virtual_devices, parent->name);
        device_event(device, "remove", NULL);
        device_del(device);
        g_hash_table_remove(virtual_devices, parent->name);
        tree_unlock();
        return 0;
}

const char *gpu_alias(const char *path)
{
        g_auto(GStrv) parts = g_strsplit(path, "/", -1);

        for (char **part = parts; *part; part++) {
                const GpuFunction *function = find_function(*part);

                if (function)
                        return function->gpu->functions[0].spec.address;
        }
        return NULL;
}
