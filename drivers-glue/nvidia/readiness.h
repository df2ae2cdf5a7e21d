/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The reason why an NVIDIA GPU without mediated devices can create no vGPUs at all. The functions read
 * no files. */

#include "drivers-glue/facts.h"
#include "drivers-glue/nvidia/nvml-text.h"
#include "drivers-glue/snapshot.h"

/* The input, from a scan. All pointers are borrowed. */
typedef struct NvidiaReadiness {
        const GpuFacts *facts;
        const GpuSnapshot *snapshot; /* instances, and the types that the VFs offer */
        const NvmlAnswer *nvml;      /* NULL: no answer */
        bool has_manager;            /* FACTS_NVIDIA_MANAGER is loaded */
        uint32_t n_vfs;              /* VFs that exist */
        uint32_t n_ready;            /* VFs with a ready vGPU manager */
        uint32_t n_elsewhere;        /* VFs that are not bound to nvidia */
        uint32_t n_shared;           /* ready and free VFs, but in an IOMMU group with a device in use */
        const char *elsewhere;       /* another driver that a VF is bound to; NULL: none */
} NvidiaReadiness;

/* NULL: the GPU is prepared. Else one clause, owned by the caller, and *ret_hint is set. */
char *nvidia_explain_unprepared(const NvidiaReadiness *r, VgpudHint *ret_hint);

/* The reason why the GPU can have no vGPUs: no vGPU manager is loaded, or the manager lists no types. NULL: the
 * GPU may have vGPUs. The answer of the library decides, if there is one. *ret_hint is set if there is a
 * reason. */
char *nvidia_explain_no_vgpus(const GpuFacts *f, const NvmlAnswer *nvml, bool has_manager, VgpudHint *ret_hint);
