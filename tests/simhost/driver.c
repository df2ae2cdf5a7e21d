/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Drivers of PCI functions; see driver.h. The names in comments are those of the kernel. */

#include "simhost/driver.h"

#include <errno.h>
#include <string.h>

#include "simhost/fault.h"
#include "simhost/sriov.h"

static bool shutting_down;

void function_lock(GpuFunction *function)
{
        while (function->locked)
                tree_wait("lock", function->spec.address);
        function->locked = true;
}

void function_unlock(GpuFunction *function)
{
        function->locked = false;
        tree_broadcast();
}

bool function_is_bound_to(const GpuFunction *function, const char *driver)
{
        return function->device && g_strcmp0(function->device->driver, driver) == 0;
}

static const char *own_driver(const GpuFunction *function)
{
        return function->index == 0 ? function->gpu->ops->driver : function->gpu->ops->vf_driver;
}

static Node *drivers_directory(void)
{
        return node_make_path(device_sys(), "bus/pci/drivers");
}

static bool driver_is_loaded(const char *driver)
{
        return driver && *driver && !strchr(driver, '/') && node_child(drivers_directory(), driver);
}

/* pci_match_device(): true if the driver's table of ids has the function. If an override is set, true if it is
 * the driver's name. */
static bool driver_matches(const char *driver, const GpuFunction *function)
{
        const char *override = pci_driver_override(function->device);
        g_autofree char *line = g_strdup_printf("%s\n", driver);

        return override ? g_str_equal(override, line) : g_strcmp0(own_driver(function), driver) == 0;
}

static bool driver_is_vfio(const char *driver)
{
        return g_str_has_suffix(driver, "vfio-pci") || g_str_has_suffix(driver, "vfio_pci");
}

/* vfio_register_group_dev() */
static void driver_add_vfio(GpuFunction *function)
{
        static const char *const modules[] = { "vfio", "vfio_iommu_type1" };

        for (size_t i = 0; i < G_N_ELEMENTS(modules); i++)
                device_module(modules[i]);
        function->leaving = false;
        function->vfio_group = vfio_group_add(function->device->group);
        device_event(function->vfio_group, "add", NULL);
        function->vfio_dev = vfio_dev_add(function->device);
        device_event(function->vfio_dev, "add", NULL);
}

/* vfio_unregister_group_dev(): refuses new opens, then waits until all files of the device are closed. */
static void driver_remove_vfio(GpuFunction *function)
{
        function->leaving = true;
        device_event(function->vfio_dev, "remove", NULL);
        vfio_dev_del(function->vfio_dev);
        function->vfio_dev = NULL;

        while (function->holds > 0 && !shutting_down)
                tree_wait("close", function->spec.address);
        device_event(function->vfio_group, "remove", NULL);
        vfio_group_del(function->vfio_group);
        function->vfio_group = NULL;
}

/* Registers the VFs that are parents of mediated devices, if their driver is bound. The GPU's driver does this
 * when it binds, because the VFs may have stayed after an earlier unbind. */
static void register_parents(Gpu *gpu)
{
        for (unsigned i = 1; i <= gpu->n_vfs; i++) {
                GpuFunction *virtual = &gpu->functions[i];

                if (virtual->parent && !virtual->parent->registered &&
                    function_is_bound_to(virtual, gpu->ops->vf_driver))
                        mdev_parent_register(virtual->parent, virtual->device);
        }
}

static void unregister_parent(GpuFunction *function)
{
        if (!function->parent)
                return;

        tree_unlock();
        (void)mdev_parent_unregister(function->parent); /* -ENODEV: was not registered */
        tree_lock();

        while (function->parent->registered) /* another thread is unregistering the parent */
                tree_wait("unregister", function->parent->name);
}

static int bind_own(GpuFunction *function)
{
        const GpuOps *ops = function->gpu->ops;
        int r;

        if (ops->has_drm)
                drm_add(function->device, function->drm);
        r = ops->bind ? ops->bind(function) : 0;
        if (r < 0) {
                drm_del(function->drm);
                return r;
        }

        if (function->index > 0 && ops->vf_is_vfio)
                driver_add_vfio(function);
        if (function->parent && !function->parent->registered)
                mdev_parent_register(function->parent, function->device);

        return 0;
}

static void release_own(GpuFunction *function)
{
        Gpu *gpu = function->gpu;

        if (function->index == 0 && !gpu->ops->keeps_vfs)
                sriov_disable(gpu);
        if (function->index == 0)
                for (unsigned i = 1; i <= gpu->n_vfs; i++)
                        unregister_parent(&gpu->functions[i]);

        unregister_parent(function);
        if (function->vfio_dev)
                driver_remove_vfio(function);
        if (gpu->ops->unbind)
                gpu->ops->unbind(function);
        drm_del(function->drm);
}

static int bind_vfio(GpuFunction *function)
{
        const GpuOps *ops = function->gpu->ops;
        int r = ops->vfio_bind ? ops->vfio_bind(function) : 0;

        if (r == 0)
                driver_add_vfio(function);

        return r;
}

/* VFIO enables a device at open, other drivers enable the device when they bind. */
static void update_enabled(const GpuFunction *function)
{
        const char *driver = function->device->driver;

        pci_set_enabled(function->device,
                        function->holds > 0 || (driver && g_strcmp0(driver, own_driver(function)) == 0));
}

static int call_probe(GpuFunction *function, const char *driver)
{
        if (g_strcmp0(driver, own_driver(function)) == 0)
                return bind_own(function);

        if (driver_is_vfio(driver))
                return bind_vfio(function);

        return g_str_equal(driver, "pci-stub") ? 0 : -ENODEV; /* a driver for other devices */
}

/* really_probe() and its pci_device_probe(): fails with -ENODEV for a VF while sriov_drivers_autoprobe is 0,
 * unless an override is set. */
static int driver_probe(GpuFunction *function, const char *driver)
{
        g_autofree char *path = node_path(function->device->directory);
        int r;

        if (function->index > 0 && !function->gpu->autoprobe && !pci_driver_override(function->device))
                return -ENODEV;

        device_set_driver(function->device, driver);
        tree_unlock();
        r = fault_apply(FAULT_PROBE, path);
        tree_lock();

        if (r == 0)
                r = call_probe(function, driver);
        if (r < 0) {
                device_set_driver(function->device, NULL);
                return r;
        }

        update_enabled(function);
        device_event(function->device, "bind", NULL);

        if (function->index == 0 && g_str_equal(driver, function->gpu->ops->driver))
                register_parents(function->gpu);

        return 0;
}

void driver_attach(GpuFunction *function)
{
        const char *override = pci_driver_override(function->device),
                   *wanted = override ? override : own_driver(function);
        g_autofree char *driver = wanted ? g_strndup(wanted, strcspn(wanted, "\n")) : NULL;

        if (!function->device->driver && driver_is_loaded(driver))
                (void)driver_probe(function, driver);
}

/* __device_release_driver(): removes the links first. */
void driver_release(GpuFunction *function)
{
        const char *driver = function->device->driver;

        if (!driver)
                return;

        device_remove_driver_links(function->device);
        if (g_strcmp0(driver, own_driver(function)) == 0)
                release_own(function);
        else if (function->vfio_dev)
                driver_remove_vfio(function);

        device_set_driver(function->device, NULL);
        update_enabled(function);
        device_event(function->device, "unbind", NULL);
}

/* bind_store() */
int driver_bind(const char *driver, const char *address)
{
        GpuFunction *function;
        int r;

        tree_lock();

        function = gpu_find_function(address);
        if (function && !driver)
                driver = own_driver(function);
        if (!function || !function->device || !driver_is_loaded(driver) || !driver_matches(driver, function)) {
                tree_unlock();
                return -ENODEV;
        }

        function_lock(function);
        if (!function->device)
                r = -ENODEV;
        else
                r = function->device->driver ? -EBUSY : driver_probe(function, driver);

        function_unlock(function);
        tree_unlock();

        return r;
}

/* unbind_store() */
int driver_unbind(const char *driver, const char *address)
{
        GpuFunction *function;

        tree_lock();

        function = gpu_find_function(address);
        if (!function || !function->device || !function->device->driver ||
            (driver && !function_is_bound_to(function, driver))) {
                tree_unlock();
                return -ENODEV;
        }

        function_lock(function);
        if (function->device)
                driver_release(function);
        function_unlock(function);
        tree_unlock();

        return 0;
}

/* drivers_probe_store(): the result of the probe is not reported. */
static int store_drivers_probe(Node *node, const char *bytes, size_t length)
{
        g_autofree char *address = g_strndup(bytes, strcspn(bytes, "\n"));
        GpuFunction *function = gpu_find_function(address);

        if (!function || !function->device)
                return -ENODEV;

        function_lock(function);
        if (function->device)
                driver_attach(function);
        function_unlock(function);

        return 0;
}

static int store_drivers_autoprobe(Node *node, const char *bytes, size_t length)
{
        node_set_text(node, bytes[0] == '0' ? "0\n" : "1\n");
        return 0;
}

static const NodeOps drivers_probe_ops = { .store_locked = store_drivers_probe };
static const NodeOps drivers_autoprobe_ops = { .store_locked = store_drivers_autoprobe };

/* Calls visit() for each present function, with the function's lock held. The list of functions never
 * changes. */
static void for_each_function(void (*visit)(GpuFunction *function, const char *driver), const char *driver)
{
        for (guint i = 0; i < gpu_all()->len; i++) {
                Gpu *gpu = gpu_all()->pdata[i];

                for (unsigned j = 0; j < gpu->n_functions; j++) {
                        function_lock(&gpu->functions[j]);
                        if (gpu->functions[j].device)
                                visit(&gpu->functions[j], driver);
                        function_unlock(&gpu->functions[j]);
                }
        }
}

static void attach_to(GpuFunction *function, const char *driver)
{
        if (!function->device->driver && driver_matches(driver, function))
                (void)driver_probe(function, driver);
}

static void release_from(GpuFunction *function, const char *driver)
{
        if (function_is_bound_to(function, driver))
                driver_release(function);
}

/* vfio-pci is in vfio_pci.ko. */
static char *module_of(const char *driver)
{
        return g_strdelimit(g_strdup(driver), "-", '_');
}

/* Sends the driver's event after the driver is bound to all matching devices. */
int driver_load(const char *driver)
{
        g_autofree char *module = module_of(driver), *module_path = g_strdup_printf("/module/%s", module),
                        *driver_path = g_strdup_printf("/bus/pci/drivers/%s", driver);
        int r = 0;

        tree_lock();

        if (!*driver || strchr(driver, '/'))
                r = -EINVAL;
        else if (driver_is_loaded(driver))
                r = -EEXIST;
        else {
                device_driver_in_module("pci", driver);
                kernel_event("add", module_path, "module");
                for_each_function(attach_to, driver);
                kernel_event("add", driver_path, "drivers");
        }

        tree_unlock();

        return r;
}

int driver_unload(const char *driver)
{
        g_autofree char *module = module_of(driver), *module_path = g_strdup_printf("/module/%s", module),
                        *driver_path = g_strdup_printf("/bus/pci/drivers/%s", driver);
        int r = 0;

        tree_lock();

        if (!driver_is_loaded(driver))
                r = -ENOENT;
        else {
                for_each_function(release_from, driver);
                node_remove_child(drivers_directory(), driver);
                kernel_event("remove", driver_path, "drivers");
                node_remove_child(node_make_path(device_sys(), "module"), module);
                kernel_event("remove", module_path, "module");
        }

        tree_unlock();

        return r;
}

int function_hold(const char *address, int by)
{
        GpuFunction *function;
        int r = -ENODEV;

        tree_lock();

        function = gpu_find_function(address);
        if (function && function->vfio_group && (by > 0 ? !function->leaving : function->holds > 0)) {
                /* A device is opened through its group, so count the group as open too. */
                r = vfio_group_hold(function->device->group, by);
                if (r == 0) {
                        function->holds += (unsigned)by;
                        update_enabled(function);
                }

                tree_broadcast();
        }

        tree_unlock();

        return r;
}

void driver_shutdown(void)
{
        tree_lock();
        shutting_down = true;
        tree_broadcast();
        tree_unlock();
}

void driver_init(void)
{
        Node *bus = node_make_path(device_sys(), "bus/pci");

        device_set_bind(driver_bind, driver_unbind);
        device_driver_in_module("pci", "vfio-pci");
        device_driver("pci", "pci-stub");
        node_add_attribute(bus, "drivers_probe", 0200, &drivers_probe_ops, NULL);
        node_add_text(bus, "drivers_autoprobe", 0644, &drivers_autoprobe_ops, "1\n");
}
