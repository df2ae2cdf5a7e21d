/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* One virtual function of an NVIDIA GPU without mediated devices: what it shows in its folder nvidia/, and the
 * one write that makes and removes a vGPU. `path` is that of the function. */

#include "drivers-glue/facts.h"
#include "drivers-glue/io/io.h"

#define NVIDIA_DRIVER "nvidia"
/* A write that meets the plugin of an earlier vGPU is tried so often, a second apart. */
#define NVIDIA_TRIES_MAX 10

typedef enum NvidiaVfState {
        NVIDIA_VF_GONE,
        NVIDIA_VF_READY,     /* it has nvidia/current_vgpu_type */
        NVIDIA_VF_NOT_READY, /* it is bound to nvidia, but the vGPU manager has not taken it */
        NVIDIA_VF_ELSEWHERE, /* it is bound to something else, or to nothing */
} NvidiaVfState;

/* Path of a file in the folder. */
char *nvidia_vf_file(const char *path, const char *name);

/* State and, when it is ready, the type it has, 0 for none. *ret_driver is what it is bound to otherwise. */
int nvidia_vf_read(VgpuIo *io, const VgpuVf *vf, NvidiaVfState *ret, uint32_t *ret_type, char **ret_driver);
/* The type only; -ENOENT when there is no such file, -EINVAL when it is no number. */
int nvidia_vf_read_type(VgpuIo *io, const char *path, uint32_t *ret);

/* What can be made on it now (NvidiaListed, owned); an empty list when that cannot be read. */
GPtrArray *nvidia_vf_read_creatable(VgpuIo *io, const char *path);
bool nvidia_vf_offers(VgpuIo *io, const char *path, uint32_t type);

/* Give it the type, or 0. What passes by itself (EBUSY, EAGAIN; EPERM of a removal) is waited for, until it has
 * been tried tries_max times (NVIDIA_TRIES_MAX; 1: not waited for). The result is what the kernel said at last;
 * what it has become is for the caller to look up. */
int nvidia_vf_write_type(VgpuIo *io, const char *path, uint32_t type, unsigned tries_max);
