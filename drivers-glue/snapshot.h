/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The result of one scan of one GPU. Filled in the lane, then immutable and reference counted. The main thread
 * announces the difference of two snapshots. */

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/hint.h"
#include "base/macros.h"
#include "base/uuid.h"
#include "drivers-glue/attribute.h"

/* A vGPU type that a GPU offers. Numbers that the driver does not report are 0. */
typedef struct VgpuType {
        char *id;                   /* kernel's name: "i915-GVTg_V5_4", "nvidia-746", "mdpy-xga" */
        char *name;                 /* readable name: "NVIDIA A2-4Q", "GVTg_V5_4"; else the id */
        char *description;          /* text of the driver, may have several lines; NULL if none */
        char *device_api;           /* "vfio-pci" */
        uint64_t framebuffer_bytes; /* graphics memory of one instance (GVT-g: low_gm + high_gm) */
        uint64_t low_gm_bytes;      /* GVT-g: aperture, mappable by the CPU */
        uint64_t high_gm_bytes;     /* GVT-g: hidden graphics memory */
        uint32_t fences;            /* GVT-g */
        uint32_t weight;            /* GVT-g: scheduling weight */
        uint32_t heads;             /* virtual displays */
        uint32_t frame_rate_limit;  /* frames per second */
        uint32_t max_x, max_y;      /* largest resolution, per head */
        uint32_t max_instances;     /* limit of a physical GPU */
        uint32_t available;         /* instances that can be created now, over all parents of the GPU */
        char *why_not;              /* reason why no more can be created now, one clause; NULL: no obstacle */
        VgpudHint hint;             /* advice on why_not */
        char *product;              /* board of the type: "A2", "L40S"; NULL if unknown */
        char *class;                /* NVIDIA's series: "Q", "B", "A", "C"; NULL if none */
        bool mig;                   /* NVIDIA: a slice of a partitioned GPU (MIG) */
        GPtrArray *options;         /* owned: VgpuTypeOption; NULL: create() takes no options */
        /* set by the model, before the snapshot is published */
        char *key;          /* the same on every host and with every driver (vgpu_type_make_key()) */
        char *earlier_name; /* name of another type that had this id before; NULL: none */
} VgpuType;

/* An option of a type. A request sets it with an attribute of the same name. */
typedef struct VgpuTypeOption {
        char *name;  /* "vram_quota" */
        char *help;  /* unit, range and meaning: "bytes (K, M, G allowed), rounded up by the GPU" */
        char *alias; /* another name that requests may use; NULL: none */
} VgpuTypeOption;
VgpuTypeOption *vgpu_type_option_new(const char *name, const char *help);
VgpuTypeOption *vgpu_type_option_free(VgpuTypeOption *o);
/* Copy the attributes (VgpuAttribute) of a request for the type, and replace aliases of options by the options'
 * names. The result is NULL if `attributes` is NULL. */
GPtrArray *vgpu_type_name_options(const VgpuType *t, const GPtrArray *attributes);

/* A setting of the whole GPU that decides which types the GPU offers: "heterogeneous", "mig", AMD's partitions.
 */
typedef struct VgpuMode {
        char *name;     /* "heterogeneous" */
        char *value;    /* current: "yes", "no", "NPS1", … */
        char **choices; /* valid values; NULL: read-only */
        char *help;     /* text for people */
} VgpuMode;
VgpuMode *vgpu_mode_new(const char *name, const char *value, const char *const *choices, const char *help);
VgpuMode *vgpu_mode_free(VgpuMode *m);

/* The driver of a VF, if the back end reads it. */
typedef struct VgpuVfBinding {
        char *name;      /* sysfs name */
        char *driver;    /* NULL: none */
        char *override;  /* driver_override; NULL: none */
        bool bound_free; /* another program bound the VF to a driver of VFIO, and no program uses it */
} VgpuVfBinding;

/* An instance as the kernel shows it. */
typedef struct InstanceDesc {
        char uuid[UUID_STRLEN + 1]; /* lower case; empty in the result of scan() if the kernel has none: the
                                     * model assigns one, by `slot` */
        char *slot; /* unique on the GPU if the kernel has no UUIDs: the sysfs name of the VF, or "vm3" (XenGT);
                     * else NULL */
        char *type_id;         /* NULL until the kernel has created the link */
        uint64_t identity;     /* vgpu_io_identify() of the path, for instances with a slot; 0: unknown. Set by
                                * the model */
        bool half_made;        /* a create or destroy was interrupted; its program may have been killed */
        bool type_guessed;     /* the kernel does not show the type; the model uses the type on record */
        char *parent;          /* sysfs name of the parent: the GPU or one of its VFs */
        char *path;            /* below /sys, no links in it */
        char *device_api;      /* "vfio-pci" */
        char *driver;          /* driver bound to the instance; NULL if none */
        int iommu_group;       /* -1: none */
        char *cdev;            /* name of the VFIO character device, "vfio3"; NULL if none */
        GPtrArray *attributes; /* owned: VgpuAttribute: options, as the kernel shows them; NULL: none */
        uint64_t memory_bytes; /* graphics memory, if the instance differs from its type; 0: see the type */
        char *restore; /* state that destroy() restores, a text of the back end (CreateArgs.reserve); NULL: none
                        */
} InstanceDesc;

typedef struct GpuSnapshot {
        int refs;
        GPtrArray *types;      /* VgpuType, owned, sorted by id, naturally: nvidia-9 before nvidia-10 */
        GPtrArray *instances;  /* InstanceDesc, owned, sorted by UUID */
        GPtrArray *modes;      /* VgpuMode, owned, sorted by name */
        GPtrArray *bindings;   /* VgpuVfBinding, owned, in the order of GpuFacts.vfs */
        uint64_t memory_bytes; /* graphics memory of the GPU, if the back end reads it; 0: see GpuFacts */
        GPtrArray *problems;   /* VgpuProblem, owned: parts left out, instances that no VM can use */
        char *unprepared;      /* reason why the GPU offers no types now, one clause; NULL: prepared */
        VgpudHint hint;        /* advice on `unprepared` */
        uint64_t taken_usec;   /* CLOCK_REALTIME */
        uint64_t began_usec;   /* CLOCK_MONOTONIC */
} GpuSnapshot;

GpuSnapshot *gpu_snapshot_new(void);
GpuSnapshot *gpu_snapshot_ref(const GpuSnapshot *s);
GpuSnapshot *gpu_snapshot_unref(const GpuSnapshot *s);
/* Predict the result of a scan after the instances `made` (InstanceDesc) were created and those with the UUIDs
 * `removed` (char *) were destroyed. Both lists may be NULL. `available` of the types is copied from `s`;
 * VgpuDriver.predict() corrects it. */
GpuSnapshot *gpu_snapshot_predict(const GpuSnapshot *s, const GPtrArray *made, const GPtrArray *removed);
/* True if an instance is in this slot. */
bool gpu_snapshot_has_slot(const GpuSnapshot *s, const char *slot);
/* Sort the arrays. The back end calls it at the end of scan(), the model after assigning UUIDs. */
void gpu_snapshot_seal(GpuSnapshot *s);

/* Add the binding of a VF. The result belongs to the snapshot. */
VgpuVfBinding *gpu_snapshot_add_binding(GpuSnapshot *s, const char *name, const char *driver,
                                        const char *override);
/* The binding of the VF with this name; NULL: unknown. */
const VgpuVfBinding *gpu_snapshot_find_binding(const GpuSnapshot *s, const char *name);
bool gpu_snapshot_bindings_equal(const GpuSnapshot *a, const GpuSnapshot *b);

VgpuType *vgpu_type_new(const char *id);
VgpuType *vgpu_type_copy(const VgpuType *t);
VgpuType *vgpu_type_free(VgpuType *t);
bool vgpu_type_equal(const VgpuType *a, const VgpuType *b);

const InstanceDesc *gpu_snapshot_find_instance(const GpuSnapshot *s, const char *uuid);

/* The canonical key of a type, "vendor/product/class/framebuffer in MiB/name" with "-" for unknown parts:
 * "10de/A2/Q/4096/A2-4Q", "8086/-/-/512/GVTg_V5_4". `vendor`: of the GPU, 0 for none. */
char *vgpu_type_make_key(const VgpuType *t, uint16_t vendor);

InstanceDesc *instance_desc_new(const char *uuid); /* uuid must be valid, or NULL for none yet */
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
