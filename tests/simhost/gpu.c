/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* GPUs and their functions; see gpu.h. */

#include "simhost/gpu.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "simhost/driver.h"
#include "simhost/sriov.h"

static GPtrArray *gpus;
static GHashTable *functions;       /* address → GpuFunction, fixed once the models are built */
static GHashTable *virtual_devices; /* name → Device; no entry: not registered */

/* Returns the address at a distance in routing ids: a virtual function may have another device or bus number
 * than its physical function. */
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

/* Loads the drivers first: only a loaded driver can bind. */
static void load_drivers(const GpuOps *ops)
{
        const char *const drivers[] = { ops->driver, ops->vf_driver, ops->vfio_driver };

        for (size_t i = 0; i < G_N_ELEMENTS(drivers); i++)
                if (drivers[i])
                        device_driver_in_module("pci", drivers[i]);
}

GPtrArray *gpu_all(void)
{
        if (!gpus)
                gpus = g_ptr_array_new();
        return gpus;
}

Gpu *gpu_new(const PciSpec *spec, const GpuOps *ops, unsigned n_vfs, unsigned vf_device_id, unsigned vf_offset,
             unsigned vf_stride)
{
        Gpu *gpu = g_new0(Gpu, 1);

        if (!functions)
                functions = g_hash_table_new(g_str_hash, g_str_equal);
        if (g_hash_table_contains(functions, spec->address)) {
                fprintf(stderr, "simhost: two models have a GPU at %s\n", spec->address);
                exit(EXIT_FAILURE);
        }

        load_drivers(ops);
        gpu->ops = ops;
        gpu->vf_device_id = vf_device_id;
        gpu->vf_offset = vf_offset;
        gpu->vf_stride = vf_stride;
        gpu->total_vfs = n_vfs;
        gpu->n_functions = 1 + n_vfs;
        gpu->functions = g_new0(GpuFunction, gpu->n_functions);

        for (unsigned i = 0; i < gpu->n_functions; i++) {
                GpuFunction *function = &gpu->functions[i];

                function->gpu = gpu;
                function->index = i;
                function->drm = g_ptr_array_new();
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

        g_ptr_array_add(gpu_all(), gpu);

        return gpu;
}

int gpu_plug(Gpu *gpu)
{
        GpuFunction *physical = &gpu->functions[0];
        int r = 0;

        function_lock(physical);

        if (physical->device)
                r = -EEXIST;
        else {
                physical->device = pci_add(&physical->spec);
                if (gpu->n_functions > 1)
                        sriov_add_files(gpu);
                device_event(physical->device, "add", NULL);
                driver_attach(physical);

                if (gpu->vfs_at_plug > 0 && function_is_bound_to(physical, gpu->ops->driver))
                        (void)sriov_enable(gpu, gpu->vfs_at_plug);
        }

        function_unlock(physical);

        return r;
}

GpuFunction *gpu_find_function(const char *address)
{
        return functions ? g_hash_table_lookup(functions, address) : NULL;
}

static GpuFunction *find_physical(const char *address)
{
        GpuFunction *function = gpu_find_function(address);

        return function && function->index == 0 ? function : NULL;
}

int gpu_plug_by_address(const char *address)
{
        GpuFunction *physical;
        int r;

        tree_lock();
        physical = find_physical(address);
        r = physical ? gpu_plug(physical->gpu) : -ENODEV;
        tree_unlock();

        return r;
}

int gpu_unplug_by_address(const char *address)
{
        GpuFunction *physical;
        int r = -ENODEV;

        tree_lock();

        physical = find_physical(address);
        if (physical) {
                function_lock(physical);
                if (physical->device) {
                        sriov_unplug(physical->gpu);
                        driver_release(physical);
                        device_event(physical->device, "remove", NULL);
                        pci_del(physical->device);
                        physical->device = NULL;
                        r = 0;
                }

                function_unlock(physical);
        }

        tree_unlock();

        return r;
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

/* A virtual parent comes and goes with its module; a PCI function stays when the module goes. */
int gpu_register_by_name(const char *name)
{
        const GpuFunction *function = gpu_find_function(name);
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
        if (r < 0 || gpu_find_function(name))
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
                const GpuFunction *function = gpu_find_function(*part);

                if (function)
                        return function->gpu->functions[0].spec.address;
        }

        return NULL;
}
