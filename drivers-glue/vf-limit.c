/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "drivers-glue/vf-limit.h"

#include <string.h>

#define VF_LIMIT_CONFIGFS "kernel/config/"

static bool vf_limit_is_none(VgpuIo *io, const char *path)
{
        g_autofree char *text = NULL;

        return vgpu_io_read(io, path, &text) >= 0 && strcmp(text, "0") == 0;
}

/* The name of the module: modprobe takes "-" and "_" for each other, and /sys/module has only "_". */
static char *vf_limit_module(const char *driver)
{
        return g_strdelimit(g_strdup(driver), "-", '_');
}

char *vf_limit_find(VgpuIo *io, const char *driver, const char *gpu)
{
        g_autofree char *module = vf_limit_module(driver);
        g_autofree char *folder = g_strdup_printf(VF_LIMIT_CONFIGFS "%s/%s/sriov", driver, gpu);
        g_autofree char *configured = g_strconcat(folder, "/max_vfs", NULL);
        g_autofree char *parameter = g_strdup_printf("module/%s/parameters/max_vfs", module);

        if (vf_limit_is_none(io, configured))
                return g_steal_pointer(&configured);

        /* The driver ignores its parameter for a GPU with a folder of its own (xe_configfs_get_max_vfs()). */
        if (!vgpu_io_exists(io, folder) && vf_limit_is_none(io, parameter))
                return g_steal_pointer(&parameter);

        return NULL;
}

char *vf_limit_explain(const char *driver, const char *gpu, const char *limit, const char *more,
                       VgpudHint *ret_hint)
{
        g_autofree char *module = vf_limit_module(driver);

        if (g_str_has_prefix(limit, VF_LIMIT_CONFIGFS)) {
                vgpud_hint_setf(ret_hint, VGPUD_HINT_CONFIGURE_DRIVER,
                                "unbind GPU %s from %s, write the number of VFs to /sys/%s, and bind the GPU again",
                                gpu, driver, limit);

                return g_strdup_printf("driver %s allows no VFs: /sys/%s is 0", driver, limit);
        }

        vgpud_hint_setf(ret_hint, VGPUD_HINT_CONFIGURE_DRIVER,
                        "start the kernel with %s.max_vfs=N%s, where N is the number of VFs", module, more);

        return g_strdup_printf("driver %s allows no VFs: its parameter max_vfs is 0 (/sys/%s)", driver, limit);
}
