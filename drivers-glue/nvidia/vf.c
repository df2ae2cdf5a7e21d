/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "drivers-glue/nvidia/vf.h"

#include <inttypes.h>
#include <string.h>

#include "drivers-glue/nvidia/parse.h"
#include "drivers-glue/vf/bind.h"

#define PAUSE_USEC USEC_PER_SEC

char *nvidia_vf_file(const char *path, const char *name)
{
        g_assert(vgpu_io_name_is_valid(name));

        return g_strdup_printf("%s/nvidia/%s", path, name);
}

int nvidia_vf_read_type(VgpuIo *io, const char *path, uint32_t *ret)
{
        g_autofree char *file = nvidia_vf_file(path, "current_vgpu_type"), *text = NULL;
        int r = vgpu_io_read(io, file, &text);

        return r < 0 ? r : nvidia_parse_current(text, ret);
}

int nvidia_vf_read(VgpuIo *io, const VgpuVf *vf, NvidiaVfState *ret, uint32_t *ret_type, char **ret_driver)
{
        g_auto(GStrv) names = NULL;
        int r = nvidia_vf_read_type(io, vf->path, ret_type);

        g_assert(!*ret_driver);

        *ret = NVIDIA_VF_READY;

        if (r >= 0)
                return 0;

        *ret = NVIDIA_VF_GONE;
        if (r != -ENOENT)
                return r == -ENODEV ? 0 : r;

        r = vgpu_io_list(io, vf->path, &names);
        if (r == -ENOENT || r == -ENODEV)
                return 0;

        r = vfs_read_driver(io, vf->path, ret_driver);
        if (r < 0)
                return r == -ENODEV ? 0 : r;

        *ret = g_strcmp0(*ret_driver, NVIDIA_DRIVER) == 0 ? NVIDIA_VF_NOT_READY : NVIDIA_VF_ELSEWHERE;

        return 0;
}

GPtrArray *nvidia_vf_read_creatable(VgpuIo *io, const char *path)
{
        g_autofree char *file = nvidia_vf_file(path, "creatable_vgpu_types"), *text = NULL;

        return nvidia_parse_creatable(vgpu_io_read(io, file, &text) < 0 ? "" : text);
}

bool nvidia_vf_offers(VgpuIo *io, const char *path, uint32_t type)
{
        g_autoptr(GPtrArray) creatable = nvidia_vf_read_creatable(io, path);

        g_assert(type > 0);

        for (guint i = 0; i < creatable->len; i++)
                if (((const NvidiaListed *)creatable->pdata[i])->id == type)
                        return true;

        return false;
}

int nvidia_vf_write_type(VgpuIo *io, const char *path, uint32_t type, unsigned tries_max,
                         const VgpuWitness *witness)
{
        g_autofree char *file = nvidia_vf_file(path, "current_vgpu_type");
        g_autofree char *value = g_strdup_printf("%" PRIu32, type);
        uint32_t now;

        g_assert(tries_max > 0 && tries_max <= NVIDIA_TRIES_MAX);

        for (unsigned tries = 1;; tries++) {
                int r = vgpu_io_write_witnessed(io, file, value, witness);

                /* vgpud-write died before or after its write(2), never inside: read the result. */
                if (r == -EPROTO && nvidia_vf_read_type(io, path, &now) >= 0 && now == type)
                        return 0;
                /* The plugin of the previous vGPU has not ended yet. EPERM has this meaning only when a vGPU
                 * is removed. */
                if ((r != -EBUSY && r != -EAGAIN && (r != -EPERM || type != 0)) || tries >= tries_max)
                        return r;

                vgpu_io_pause(io, PAUSE_USEC);
                if (nvidia_vf_read_type(io, path, &now) >= 0 && now == type)
                        return 0;
        }
}
