/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "drivers-glue/vfio/use.h"

#include <string.h>

#include "base/parse-util.h"
#include "base/text.h"
#include "drivers-glue/explain.h"

int vfio_read_group(VgpuIo *io, const char *device_path, int *ret)
{
        g_autofree char *path = g_strconcat(device_path, "/iommu_group", NULL), *name = NULL;
        int32_t group;
        int r = vgpu_io_read_link_name(io, path, &name);

        if (r == -ENOENT) {
                *ret = -1;
                return 0;
        }

        if (r < 0)
                return r;

        r = parse_i32(name, &group);
        if (r < 0 || group < 0)
                return -EBADMSG;

        *ret = group;

        return 0;
}

static char *use_group_node(int group, bool noiommu)
{
        return g_strdup_printf("vfio/%s%d", noiommu ? "noiommu-" : "", group);
}

bool vfio_group_is_noiommu(VgpuIo *io, int group)
{
        g_autofree char *node = use_group_node(group, true);

        return group >= 0 && vgpu_io_node_exists(io, node) > 0;
}

bool vfio_group_has_node(VgpuIo *io, int group)
{
        g_autofree char *node = use_group_node(group, false);

        return group >= 0 && (vgpu_io_node_exists(io, node) != 0 || vfio_group_is_noiommu(io, group));
}

int vfio_read_cdev(VgpuIo *io, const char *device_path, char **ret)
{
        g_autofree char *path = g_strconcat(device_path, "/vfio-dev", NULL);
        g_auto(GStrv) names = NULL;
        int r = vgpu_io_list(io, path, &names);

        *ret = NULL;

        if (r == -ENOENT)
                return 0;
        if (r < 0)
                return r;

        for (char **n = names; *n; n++) {
                g_autofree char *dev = g_strdup_printf("%s/%s/dev", path, *n);
                uint64_t identity;
                uint32_t number;

                if (!g_str_has_prefix(*n, "vfio") || parse_u32(*n + strlen("vfio"), 10, &number) < 0)
                        continue;

                r = vgpu_io_identify(io, dev, &identity);
                if (r == -ENOENT)
                        continue; /* the device has no node of its own */
                if (r < 0)
                        return r;

                *ret = g_strdup(*n);
                return 0;
        }

        return 0;
}

/* 1 if a process has the node open, with IN_USE in *reterr; 0 if none has; negative if a process cannot be
 * examined. */
static int use_find_holder(VgpuIo *io, const char *node, VgpudError *reterr)
{
        g_autofree char *command = NULL;
        int pid, r;

        g_assert(node[0] != '/');

        r = vgpu_io_find_holder(io, node, &pid, &command);
        if (r <= 0)
                return r;

        (void)vgpud_error_set_errnof(reterr, VGPUD_ERROR_IN_USE, -EBUSY, "process %d (%s) has /dev/%s open",
                                     pid, TEXT_QUOTE(command), node);
        vgpud_error_hintf(reterr, VGPUD_HINT_STOP_USER, "end the process, or detach the device from its VM");

        return 1;
}

int vfio_refuse_holder(VgpuIo *io, const char *node, VgpudError *reterr)
{
        int r = use_find_holder(io, node, reterr);

        if (r > 0)
                return -EBUSY;
        if (r < 0)
                return explain_use_unknown(r, reterr, "not every process can be examined for /dev/%s", node);

        return 0;
}

static int use_keep_out_by_group(VgpuIo *io, int group, const char *cdev_node, int *ret_fd, VgpudError *reterr)
{
        g_autofree char *node = use_group_node(group, false);
        int fd, r;

        g_assert(group >= 0);

        fd = vgpu_io_open_group(io, (unsigned)group);
        if (fd >= 0) {
                *ret_fd = fd;
                return 0;
        }

        if (fd == -ENODEV) {
                /* The group has no VFIO device that a process could have open. */
                *ret_fd = -EBADF;
                return 0;
        }

        if (fd != -EBUSY)
                return explain_use_unknown(fd, reterr, "/dev/%s cannot be opened", node);

        if (use_find_holder(io, node, reterr) > 0 || (cdev_node && use_find_holder(io, cdev_node, reterr) > 0))
                return -EBUSY;

        r = vgpud_error_set_errnof(reterr, VGPUD_ERROR_IN_USE, fd,
                                   "a process that vgpud cannot see has /dev/%s open", node);
        vgpud_error_hintf(reterr, VGPUD_HINT_STOP_USER, "look for the process as root: fuser -v /dev/%s", node);

        return r;
}

int vfio_keep_out(VgpuIo *io, int group, const char *cdev, int *ret_fd, VgpudError *reterr)
{
        g_autofree char *cdev_node = cdev ? g_strconcat("vfio/devices/", cdev, NULL) : NULL;
        bool noiommu = vfio_group_is_noiommu(io, group);

        g_assert(!cdev || cdev[0]);

        /* Kernels without VFIO_GROUP have groups without nodes; there the cdev is the only way to open the
         * device. */
        if (group >= 0 && !noiommu && (!cdev_node || vfio_group_has_node(io, group)))
                return use_keep_out_by_group(io, group, cdev_node, ret_fd, reterr);

        *ret_fd = -EBADF;
        if (noiommu) {
                g_autofree char *node = use_group_node(group, true);

                return vfio_refuse_holder(io, node, reterr);
        }

        return cdev_node ? vfio_refuse_holder(io, cdev_node, reterr) : 0;
}
