/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What one scan of one GPU found. Made in the lane, published once, immutable from then on, reference counted;
 * the main thread takes the difference of two snapshots and announces it. */

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/macros.h"
#include "base/uuid.h"

/* A type of vGPU that a GPU offers. Numbers that the driver does not tell are 0. */
typedef struct VgpuType {
        char *id;                   /* kernel's name: "i915-GVTg_V5_4", "nvidia-746", "mdpy-xga" */
        char *name;                 /* pretty name, the id when there is none: "NVIDIA A2-4Q", "GVTg_V5_4" */
        char *description;          /* the driver's text as it is, may have several lines; NULL if none */
        char *device_api;           /* "vfio-pci" */
        uint64_t framebuffer_bytes; /* graphics memory of one instance (GVT-g: low_gm + high_gm) */
        uint64_t low_gm_bytes;      /* GVT-g: aperture, mappable by the CPU */
        uint64_t high_gm_bytes;     /* GVT-g: hidden graphics memory */
        uint32_t fences;            /* GVT-g */
        uint32_t weight;            /* GVT-g: scheduling weight */
        uint32_t heads;             /* virtual displays */
        uint32_t frame_rate_limit;  /* frames per second */
        uint32_t max_x, max_y;      /* largest resolution, per head */
        uint32_t max_instances;     /* per physical GPU */
        uint32_t available;         /* how many can be made now on the GPU, over all its parents */
} VgpuType;

/* An instance as the kernel shows it. */
typedef struct InstanceDesc {
        char uuid[UUID_STRLEN + 1]; /* lower case */
        char *type_id;              /* NULL while the kernel has not made the link yet */
        char *parent;               /* sysfs name of the parent: the GPU or one of its VFs */
        char *path;                 /* below /sys, no links in it */
        char *device_api;           /* "vfio-pci" */
        char *driver;               /* driver of the instance itself, NULL if none is bound */
        int iommu_group;            /* -1: none */
        char *cdev; /* name of the VFIO character device, "vfio3"; NULL when the kernel has none */
} InstanceDesc;

typedef struct GpuSnapshot {
        int refs;
        GPtrArray *types; /* VgpuType, owned, sorted by id (numbers in it by value: nvidia-9 before nvidia-10)
                           */
        GPtrArray *instances; /* InstanceDesc, owned, sorted by UUID */
        uint64_t taken_usec;  /* CLOCK_REALTIME */
} GpuSnapshot;

GpuSnapshot *gpu_snapshot_new(void);
GpuSnapshot *gpu_snapshot_ref(const GpuSnapshot *s);
GpuSnapshot *gpu_snapshot_unref(const GpuSnapshot *s);
/* What a scan would find if nothing but this had changed: the instances `made` (InstanceDesc) are there, that
 * of the UUID `removed` is not. Either may be NULL. Availability follows for their own types only. */
GpuSnapshot *gpu_snapshot_amend(const GpuSnapshot *s, const GPtrArray *made, const char *removed);
/* Sort both arrays; called by the back end when it has filled them. */
void gpu_snapshot_seal(GpuSnapshot *s);

VgpuType *vgpu_type_new(const char *id);
VgpuType *vgpu_type_copy(const VgpuType *t);
VgpuType *vgpu_type_free(VgpuType *t);
bool vgpu_type_equal(const VgpuType *a, const VgpuType *b);
/* Other names of a type: the pretty name, its last word ("A2-4Q"), the id without its prefix ("GVTg_V5_4").
 * A NULL-terminated list, without duplicates and without the id; never NULL. */
char **vgpu_type_aliases(const VgpuType *t);
/* True when `name` is the id or an alias. */
bool vgpu_type_matches(const VgpuType *t, const char *name);

/* The type by id, else by alias. NULL with *reterr NO_SUCH_TYPE (it lists what is offered) or AMBIGUOUS. */
const VgpuType *gpu_snapshot_find_type(const GpuSnapshot *s, const char *name, VgpudError *reterr);
const InstanceDesc *gpu_snapshot_find_instance(const GpuSnapshot *s, const char *uuid);

InstanceDesc *instance_desc_new(const char *uuid); /* uuid must be valid */
InstanceDesc *instance_desc_copy(const InstanceDesc *d);
InstanceDesc *instance_desc_free(InstanceDesc *d);
bool instance_desc_equal(const InstanceDesc *a, const InstanceDesc *b);

static inline void gpu_snapshot_unrefp(GpuSnapshot **s)
{
        *s = gpu_snapshot_unref(*s);
}
static inline void instance_desc_freep(InstanceDesc **d)
{
        *d = instance_desc_free(*d);
}
