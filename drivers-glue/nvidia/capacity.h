/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* How many vGPUs of each type an NVIDIA GPU can still make, and why no more. Pure: the driver answers for one
 * virtual function at a time, and what it leaves out it leaves out without a reason.
 *
 * The rules (NVIDIA's vGPU guide): a virtual function carries one vGPU. Normally all vGPUs of a GPU have one
 * framebuffer size, that of the first, and as many fit as the framebuffer holds. In heterogeneous mode sizes
 * mix, for as long as there is framebuffer left in pieces that are large enough. A GPU in MIG mode makes only
 * types of slices, each on a GPU instance of that size, and a GPU that is not in it makes none of those. GPUs
 * from before Ampere have no virtual functions; their vGPUs have one size. */

#include "drivers-glue/nvidia/nvml-text.h"
#include "drivers-glue/snapshot.h"

#define NVIDIA_NO_VFS UINT32_MAX

typedef struct NvidiaBudget {
        /* VgpuType. `available` goes in as the number of virtual functions that offer it now (of a GPU
         * without them: the driver's own number); it comes out,
         * with `why_not`, as how many can be made on the GPU. */
        GPtrArray *types;
        const GPtrArray *instances; /* InstanceDesc: all of the GPU's */
        const GPtrArray *
                        known_types; /* VgpuType: where the size of an instance is looked up too; may be NULL */
        uint32_t n_vfs;              /* virtual functions that can carry a vGPU, or NVIDIA_NO_VFS */
        uint32_t free_vfs;           /* of those, the ones that carry none; the same then */
        uint64_t framebuffer_bytes;  /* of the GPU, as the driver says; 0: not known */
        int heterogeneous, mig;      /* 1, 0, or -1: not known */
        const NvmlAnswer *nvml;      /* for the GPU instances (MIG) there are; may be NULL */
        const char *unprepared;      /* not NULL: it can make none at all, because of that */
} NvidiaBudget;

void nvidia_capacity(const NvidiaBudget *b);
