/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "drivers-glue/blocked.h"

#include <string.h>
#include <unistd.h>

#include "base/pci-addr.h"
#include "base/text.h"

/* Describe the process that has the node open; NULL if there is none. vgpud itself does not count: it keeps
 * groups open as a guard. */
static char *blocked_find_user(VgpuIo *io, const char *node)
{
        g_autofree char *command = NULL;
        int pid;

        if (vgpu_io_node_exists(io, node) != 1 || vgpu_io_find_holder(io, node, &pid, &command) <= 0 ||
            pid == getpid())
                return NULL;

        return g_strdup_printf("process %d (%s) has /dev/%s open", pid, TEXT_QUOTE(command), node);
}

/* Find the user of a node of the device in /dev/`folder`. The nodes have the names of the entries in the
 * device's folder `class`. */
static char *blocked_find_user_of(VgpuIo *io, const char *device, const char *class, const char *folder)
{
        g_autofree char *path = g_strdup_printf("%s/%s", device, class);
        g_auto(GStrv) names = NULL;

        if (vgpu_io_list(io, path, &names) < 0)
                return NULL;

        for (char **n = names; *n; n++) {
                g_autofree char *node = g_strdup_printf("%s/%s", folder, *n);
                char *user = blocked_find_user(io, node);

                if (user)
                        return user;
        }

        return NULL;
}

static char *blocked_find_user_of_group(VgpuIo *io, const char *device)
{
        static const char *const prefixes[] = { "vfio/", "vfio/noiommu-" };
        g_autofree char *link = g_strconcat(device, "/iommu_group", NULL), *group = NULL;

        if (vgpu_io_read_link_name(io, link, &group) < 0)
                return NULL;

        for (size_t i = 0; i < G_N_ELEMENTS(prefixes); i++) {
                g_autofree char *node = g_strconcat(prefixes[i], group, NULL);
                char *user = blocked_find_user(io, node);

                if (user)
                        return user;
        }

        return NULL;
}

/* An unbind from a driver of VFIO blocks until the last user closes the device. */
static char *blocked_find_user_of_vfio(VgpuIo *io, const char *device)
{
        char *user = blocked_find_user_of(io, device, "vfio-dev", "vfio/devices");

        return user ? user : blocked_find_user_of_group(io, device);
}

static char *blocked_find_user_of_device(VgpuIo *io, const char *device)
{
        char *user = blocked_find_user_of_vfio(io, device);

        if (!user)
                user = blocked_find_user_of(io, device, "drm", "dri");

        return user ? user : blocked_find_user_of(io, device, "accel", "accel");
}

static char *blocked_find_user_of_name(VgpuIo *io, const char *name)
{
        g_autofree char *link = g_strconcat("bus/pci/devices/", name, NULL), *device = NULL;

        if (!vgpu_io_name_is_valid(name) || vgpu_io_resolve_link(io, link, &device) < 0)
                return NULL;

        return blocked_find_user_of_device(io, device);
}

static char *blocked_find_user_of_vfs(VgpuIo *io, const char *gpu)
{
        g_auto(GStrv) names = NULL;
        char *user = NULL;

        if (vgpu_io_list(io, gpu, &names) < 0)
                return NULL;

        for (char **n = names; *n && !user; n++) {
                g_autofree char *link = g_strdup_printf("%s/%s", gpu, *n), *vf = NULL;

                if (g_str_has_prefix(*n, "virtfn") && vgpu_io_resolve_link(io, link, &vf) >= 0)
                        user = blocked_find_user_of_device(io, vf);
        }

        return user;
}

/* Find the user if the operation is not a write, but a helper program: sriov-manage, which unbinds the GPU, or
 * vgpud-nvml. Any program with the GPU open may block the helper program. */
static char *blocked_find_user_of_gpu(VgpuIo *io, const char *gpu)
{
        g_autofree char *link = g_strconcat("bus/pci/devices/", gpu, NULL), *path = NULL;
        char *user;

        if (vgpu_io_resolve_link(io, link, &path) < 0)
                return NULL;

        user = blocked_find_user_of_vfs(io, path);

        return user ? user : blocked_find_user_of_device(io, path);
}

static char *blocked_find_holder(VgpuIo *io, const char *gpu, const char *path, const char *value)
{
        g_autofree char *device = path ? g_path_get_dirname(path) : NULL, *above = NULL;
        PciAddr address;
        char *user;

        if (!path)
                return blocked_find_user_of_gpu(io, gpu);
        /* The value that is written to bind, unbind or drivers_probe is the name of a PCI function. */
        if (pci_addr_parse(value, &address) >= 0)
                return blocked_find_user_of_name(io, value);
        /* The write removes the VFs, so it waits for users of the VFs, not for users of the GPU itself. */
        if (g_str_has_suffix(path, "/sriov_numvfs"))
                return blocked_find_user_of_vfs(io, device);

        user = blocked_find_user_of_device(io, device);
        if (user)
                return user;

        /* The VF is one level above the folder of nvidia/current_vgpu_type. */
        above = g_path_get_dirname(device);

        return blocked_find_user_of_vfio(io, above);
}

char *blocked_explain(VgpuIo *io, const char *gpu, const char *path, const char *value, char **ret_holder)
{
        *ret_holder = blocked_find_holder(io, gpu, path, value);

        if (!path)
                return g_strdup_printf("%s has not returned", TEXT_QUOTE(value));

        return g_strdup_printf("the write of %s to /sys/%s does not return", TEXT_QUOTE(value), path);
}
