/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The room of an NVIDIA GPU for more vGPUs of each type, and why no more fit. These functions are pure. The
 * driver lists the creatable types of one VF at a time, and gives no reason for the types that it omits.
 *
 * The rules (NVIDIA's vGPU guide): a VF carries one vGPU. By default all vGPUs of a GPU have the framebuffer
 * size of the first one, and their number is limited by the framebuffer. In heterogeneous mode sizes mix, as
 * long as free blocks are large enough. A GPU in MIG mode offers only MIG types, each on a GPU instance of its
 * size; other GPUs offer none of these. GPUs before Ampere have no VFs, and their vGPUs have one size. */

#include "drivers-glue/nvidia/nvml-text.h"
#include "drivers-glue/snapshot.h"

#define NVIDIA_NO_VFS UINT32_MAX

typedef struct NvidiaBudget {
        /* VgpuType. Input: `available` is the number of VFs that offer the type (on GPUs without VFs: the
         * number that the driver reports). Output: `available` of the GPU, `why_not` and `hint`. */
        GPtrArray *types;
        const GPtrArray *instances;   /* InstanceDesc: all of the GPU */
        const GPtrArray *known_types; /* VgpuType: more types, for the sizes of instances; may be NULL */
        uint32_t n_vfs;               /* VFs that can carry a vGPU, or NVIDIA_NO_VFS */
        uint32_t free_vfs;            /* VFs without a vGPU, or NVIDIA_NO_VFS */
        uint64_t framebuffer_bytes;   /* size that the driver reports; 0: unknown */
        int heterogeneous, mig;       /* 1, 0, or -1: unknown */
        const NvmlAnswer *nvml;       /* source of the GPU instances (MIG); may be NULL */
        const char *unprepared;       /* reason why no vGPU can be created; NULL: prepared */
        const VgpudHint *hint;        /* advice on `unprepared`; may be NULL */
} NvidiaBudget;

void nvidia_capacity(const NvidiaBudget *b);

/* The graphics memory of a GPU, from the size that the driver reports (0: unknown) and the sizes of its types
 * (known_types may be NULL): the largest type has all of the memory. */
uint64_t nvidia_memory_bytes(const GPtrArray *types, const GPtrArray *known_types, uint64_t framebuffer_bytes);
