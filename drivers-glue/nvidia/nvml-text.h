/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The output of vgpud-nvml and its parser. vgpud-nvml.c describes the protocol. */

#include <stdbool.h>
#include <stdint.h>

#include "base/macros.h"

/* Exit statuses of vgpud-nvml, beside the codes of the library below 49. All stay below 128: a shell reports
 * the end by signal N as 128 + N, and systemd has statuses of its own from 200 on. */
#define VGPUD_NVML_OTHER_CODE 49  /* any code of the library from 49 on, such as 999 (unknown) */
#define VGPUD_NVML_PENDING    50  /* range 50..99: the mode is pending; the status minus 50 is the reason */
#define VGPUD_NVML_NO_LIBRARY 100 /* libnvidia-ml.so.1 is not installed */

#define NVML_TYPES_MAX 512 /* limit of one GPU; about 40 exist */

/* nvmlDeviceGetVirtualizationMode */
#define NVML_VIRTUALIZATION_MODE_HOST 3 /* a host of vGPUs */

/* nvmlDeviceGetHostVgpuMode */
#define NVML_HOST_VGPU_MODE_NON_SRIOV 0
#define NVML_HOST_VGPU_MODE_SRIOV     1

/* A type that the GPU supports. Unknown values are NULL or 0. */
typedef struct NvmlType {
        uint32_t id;
        char *name, *class;
        uint64_t framebuffer_bytes;
        uint32_t heads, max_x, max_y, frame_rate_limit, max_instances;
        bool mig;                      /* needs a GPU instance */
        uint32_t profile;              /* profile of the GPU instance */
        uint32_t max_per_gpu_instance; /* 0: unknown */
} NvmlType;

/* The number of GPU instances of a profile. */
typedef struct NvmlGpuInstances {
        uint32_t profile, count;
} NvmlGpuInstances;

typedef struct NvmlAnswer {
        /* -1: unknown */
        int virtualization_mode, host_vgpu_mode;
        int heterogeneous, mig, mig_pending; /* 0 or 1 */
        int minor;                           /* of /dev/nvidiaN */
        uint64_t framebuffer_bytes;          /* 0: unknown */
        GPtrArray *types;                    /* owned: NvmlType */
        GArray *creatable;                   /* owned: uint32_t, ids */
        GArray *gpu_instances;               /* owned: NvmlGpuInstances, for profiles with a known number */
} NvmlAnswer;

/* -EINVAL if the text is incomplete or malformed. Unknown keys are ignored. */
int nvml_answer_parse(const char *text, NvmlAnswer **ret);
NvmlAnswer *nvml_answer_free(NvmlAnswer *a);
static inline void nvml_answer_freep(NvmlAnswer **a)
{
        *a = nvml_answer_free(*a);
}
/* True if the library knows vGPUs of the GPU: it lists types, or reports the mode of a vGPU host. False with
 * the driver for graphics and compute, and for a GPU that supports no vGPUs. */
bool nvml_answer_knows_vgpus(const NvmlAnswer *a);
const NvmlType *nvml_answer_find_type(const NvmlAnswer *a, uint32_t id);
/* The number of GPU instances of the profile; false: unknown. */
bool nvml_answer_count_gpu_instances(const NvmlAnswer *a, uint32_t profile, uint32_t *ret);
