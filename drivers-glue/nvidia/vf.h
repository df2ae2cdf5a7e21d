/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A VF of an NVIDIA GPU without mediated devices: the files in its folder nvidia/, and the write that creates
 * and removes a vGPU. `path` is the path of the VF. */

#include "drivers-glue/facts.h"
#include "drivers-glue/io/io.h"

#define NVIDIA_DRIVER "nvidia"
/* Limit of tries of a write, one per second, while the plugin of an earlier vGPU has not ended. */
#define NVIDIA_TRIES_MAX 10

typedef enum NvidiaVfState {
        NVIDIA_VF_GONE,
        NVIDIA_VF_READY,     /* the VF has nvidia/current_vgpu_type */
        NVIDIA_VF_NOT_READY, /* bound to nvidia, but not taken by the vGPU manager */
        NVIDIA_VF_ELSEWHERE, /* bound to another driver, or to none */
} NvidiaVfState;

/* The path of a file in the folder nvidia/ of the VF. */
char *nvidia_vf_file(const char *path, const char *name);

/* Read the state of the VF and, if it is ready, the type (0: none). *ret_driver: the driver of a VF that is not
 * ready. */
int nvidia_vf_read(VgpuIo *io, const VgpuVf *vf, NvidiaVfState *ret, uint32_t *ret_type, char **ret_driver);
/* Read the type only. -ENOENT: no such file; -EBADMSG: not a number. */
int nvidia_vf_read_type(VgpuIo *io, const char *path, uint32_t *ret);

/* The types that can be created on the VF now (NvidiaListed, owned); empty if unreadable. */
GPtrArray *nvidia_vf_read_creatable(VgpuIo *io, const char *path);
bool nvidia_vf_offers(VgpuIo *io, const char *path, uint32_t type);

/* Write the type, or 0. Temporary errors (EBUSY, EAGAIN; EPERM of a removal) are retried, up to tries_max tries
 * in all (NVIDIA_TRIES_MAX; 1: no retry). Returns 0 if the VF has the type, also if a write failed; else the
 * result of the last write. The caller reads the new state. `witness` may be NULL. */
int nvidia_vf_write_type(VgpuIo *io, const char *path, uint32_t type, unsigned tries_max,
                         const VgpuWitness *witness);
