/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Virtual functions; see sriov.h. The comments name the functions of the kernel, most of them in
 * drivers/pci/iov.c, that the functions here imitate.
 *
 * The kernel sleeps for 100 ms after it enables VFs, and for a second after it disables VFs. The simulation
 * takes no such time, only the time of faults. The kernel changes one device at a time. Here each GPU has its
 * own lock, so several GPUs may change at the same time.
 */

#include "simhost/sriov.h"

#include <errno.h>

#include "simhost/driver.h"
#include "simhost/fault.h"

static int apply_fault(FaultOp op, const GpuFunction *function)
{
        g_autofree char *path = node_path(function->device->directory);
        int r;

        tree_unlock();
        r = fault_apply(op, path);
        tree_lock();

        return r;
}

/* pci_iov_add_virtfn() */
static int add_function(GpuFunction *function)
{
        const GpuOps *ops = function->gpu->ops;
        int r;

        function_lock(function);
        function->spec.physical = function->gpu->functions[0].device;
        function->device = pci_add(&function->spec);
        device_event(function->device, "add", NULL);

        r = apply_fault(FAULT_ENABLE, function);
        if (r < 0) {
                device_event(function->device, "remove", NULL);
                pci_del(function->device);
                function->device = NULL;
        } else {
                pci_add_virtual_links(function->device);
                device_event(function->device, "change", NULL);

                if (ops->vf_add)
                        ops->vf_add(function);
                driver_attach(function);
        }

        function_unlock(function);

        return r;
}

/* pci_iov_remove_virtfn(): the links go before the driver does. */
static void remove_function(GpuFunction *function)
{
        const GpuOps *ops = function->gpu->ops;

        function_lock(function);
        pci_remove_virtual_links(function->device);

        if (ops->vf_remove)
                ops->vf_remove(function);
        (void)apply_fault(FAULT_DISABLE, function);
        driver_release(function);
        device_event(function->device, "remove", NULL);
        pci_del(function->device);
        function->device = NULL;
        function_unlock(function);
}

static void remove_functions(Gpu *gpu, unsigned count)
{
        for (unsigned i = 1; i <= count; i++)
                remove_function(&gpu->functions[i]);
        if (gpu->ops->vfs_disable)
                gpu->ops->vfs_disable(gpu);
        gpu->n_vfs = 0;
}

/* sriov_enable() */
int sriov_enable(Gpu *gpu, unsigned count)
{
        int r = (int)count;

        if (gpu->ops->vfs_enable)
                r = gpu->ops->vfs_enable(gpu, count);
        if (r < 0)
                return r;

        count = (unsigned)r;

        for (unsigned i = 1; i <= count; i++) {
                r = add_function(&gpu->functions[i]);
                if (r < 0) {
                        remove_functions(gpu, i - 1);
                        return r;
                }
        }

        device_event(gpu->functions[0].device, "change", NULL);
        gpu->n_vfs = count;

        return 0;
}

void sriov_disable(Gpu *gpu)
{
        if (gpu->n_vfs > 0)
                remove_functions(gpu, gpu->n_vfs);
}

/* pci_stop_bus_device() goes through a bus from its end. */
void sriov_unplug(Gpu *gpu)
{
        if (gpu->n_vfs == 0)
                return;

        for (unsigned i = gpu->n_vfs; i > 0; i--)
                remove_function(&gpu->functions[i]);
        if (gpu->ops->vfs_disable)
                gpu->ops->vfs_disable(gpu);
        gpu->n_vfs = 0;
}

/* The part of sriov_numvfs_store() that runs with the device lock held. */
static int sriov_configure(Gpu *gpu, unsigned wanted)
{
        const GpuFunction *physical = &gpu->functions[0];

        if (!physical->device)
                return -ENODEV;

        if (wanted == gpu->n_vfs)
                return 0;

        if (!function_is_bound_to(physical, gpu->ops->driver) || !gpu->ops->has_sriov_configure)
                return -ENOENT;

        if (wanted == 0) {
                sriov_disable(gpu);
                return 0;
        }

        return gpu->n_vfs > 0 ? -EBUSY : sriov_enable(gpu, wanted);
}

static int store_numvfs(Node *node, const char *bytes, size_t length)
{
        Gpu *gpu = node->data;
        guint64 wanted;
        int r;

        if (kernel_parse_unsigned(bytes, G_MAXUINT16, &wanted) < 0)
                return -EINVAL;

        if (wanted > gpu->total_vfs)
                return -ERANGE;

        function_lock(&gpu->functions[0]);
        r = sriov_configure(gpu, (unsigned)wanted);
        function_unlock(&gpu->functions[0]);

        return r;
}

/* A reader waits while the number changes, as with Linux 6.1; with 6.12 the reader gets the old number. */
static int show_numvfs(Node *node, GString *text)
{
        Gpu *gpu = node->data;
        int r = 0;

        function_lock(&gpu->functions[0]);

        if (node->removed)
                r = -ENODEV;
        else
                g_string_append_printf(text, "%u\n", gpu->n_vfs);

        function_unlock(&gpu->functions[0]);

        return r;
}

static int show_totalvfs(Node *node, GString *text)
{
        g_string_append_printf(text, "%u\n", ((const Gpu *)node->data)->total_vfs);
        return 0;
}

static int show_autoprobe(Node *node, GString *text)
{
        g_string_append_printf(text, "%d\n", ((const Gpu *)node->data)->autoprobe);
        return 0;
}

static int store_autoprobe(Node *node, const char *bytes, size_t length)
{
        return kernel_parse_bool(bytes, &((Gpu *)node->data)->autoprobe);
}

static const NodeOps numvfs_ops = { .show = show_numvfs, .store_locked = store_numvfs };
static const NodeOps totalvfs_ops = { .show = show_totalvfs };
static const NodeOps autoprobe_ops = { .show = show_autoprobe, .store_locked = store_autoprobe };

void sriov_add_files(Gpu *gpu)
{
        Node *directory = gpu->functions[0].device->directory;

        gpu->autoprobe = true;
        node_add_attribute(directory, "sriov_totalvfs", 0444, &totalvfs_ops, gpu);
        node_add_attribute(directory, "sriov_numvfs", 0644, &numvfs_ops, gpu);
        node_add_format(directory, "sriov_offset", 0444, "%u\n", gpu->vf_offset);
        node_add_format(directory, "sriov_stride", 0444, "%u\n", gpu->vf_stride);
        node_add_format(directory, "sriov_vf_device", 0444, "%x\n", gpu->vf_device_id);
        node_add_attribute(directory, "sriov_drivers_autoprobe", 0644, &autoprobe_ops, gpu);
        node_add_text(directory, "sriov_vf_total_msix", 0444, NULL, "0\n");
        node_add_text(directory, "ari_enabled", 0444, NULL, "1\n");
}

int sriov_set_vfs(const char *address, unsigned count)
{
        GpuFunction *physical;
        Gpu *gpu;
        int r = 0;

        tree_lock();

        physical = gpu_find_function(address);
        if (!physical || physical->index > 0) {
                tree_unlock();
                return -ENODEV;
        }

        gpu = physical->gpu;
        function_lock(physical);

        if (!physical->device || !function_is_bound_to(physical, gpu->ops->driver))
                r = -ENODEV;
        else if (count > gpu->total_vfs)
                r = -ERANGE;
        else if (count != gpu->n_vfs) {
                sriov_disable(gpu);
                if (count > 0)
                        r = sriov_enable(gpu, count);
        }

        function_unlock(physical);
        tree_unlock();

        return r;
}
