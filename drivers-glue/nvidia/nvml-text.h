/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What vgpud-nvml prints, and how it is read back. The protocol is described in vgpud-nvml.c. */

#include <stdbool.h>
#include <stdint.h>

#include "base/macros.h"

/* Exit status: all below 128, where signals are counted from, and below 200, where systemd has its own. */
#define VGPUD_NVML_OTHER_CODE 49  /* a code of the library that is not below this, such as 999 (unknown) */
#define VGPUD_NVML_PENDING    50  /* and up to 99: the mode is set and not in effect; less 50 it says why */
#define VGPUD_NVML_NO_LIBRARY 100 /* libnvidia-ml.so.1 is not there */

#define NVML_TYPES_MAX 512 /* of one GPU; there are some 40 */

/* nvmlDeviceGetHostVgpuMode */
#define NVML_HOST_VGPU_MODE_NON_SRIOV 0
#define NVML_HOST_VGPU_MODE_SRIOV     1

/* A type that the GPU supports. What the library did not say is NULL or 0. */
typedef struct NvmlType {
        uint32_t id;
        char *name, *class;
        uint64_t framebuffer_bytes;
        uint32_t heads, max_x, max_y, frame_rate_limit, max_instances;
        bool mig;                      /* needs a GPU instance */
        uint32_t profile;              /* of that */
        uint32_t max_per_gpu_instance; /* 0: not known */
} NvmlType;

/* How many GPU instances there are of a profile. */
typedef struct NvmlGpuInstances {
        uint32_t profile, count;
} NvmlGpuInstances;

typedef struct NvmlAnswer {
        /* -1: not known */
        int virtualization_mode, host_vgpu_mode;
        int heterogeneous, mig, mig_pending; /* 0 or 1 */
        uint64_t framebuffer_bytes;          /* 0: not known */
        GPtrArray *types;                    /* owned: NvmlType */
        GArray *creatable;                   /* owned: uint32_t, ids */
        GArray *gpu_instances; /* owned: NvmlGpuInstances, of each profile of which the number is known */
} NvmlAnswer;

/* -EINVAL when the text is not whole or not in order; lines with other keys are fine. */
int nvml_answer_parse(const char *text, NvmlAnswer **ret);
NvmlAnswer *nvml_answer_free(NvmlAnswer *a);
static inline void nvml_answer_freep(NvmlAnswer **a)
{
        *a = nvml_answer_free(*a);
}
const NvmlType *nvml_answer_find_type(const NvmlAnswer *a, uint32_t id);
/* How many GPU instances of the profile there are; false: not known. */
bool nvml_answer_count_gpu_instances(const NvmlAnswer *a, uint32_t profile, uint32_t *ret);
