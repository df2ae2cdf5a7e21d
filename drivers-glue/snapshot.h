/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What one scan of one GPU found. Made in the lane, published once, immutable from then on, reference counted;
 * the main thread takes the difference of two snapshots and announces it. */

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/hint.h"
#include "base/macros.h"
#include "base/uuid.h"
#include "drivers-glue/attribute.h"

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
        char *why_not; /* why no more than that, or none, can be made now, in words; NULL: nothing stands in the
                          way */
        VgpudHint hint;     /* what can be done about why_not */
        char *product;      /* board the type is of: "A2", "L40S"; NULL if not known */
        char *class;        /* NVIDIA's series: "Q", "B", "A", "C"; NULL if there is none */
        bool mig;           /* NVIDIA: it is a slice of a partitioned GPU (MIG) */
        GPtrArray *options; /* owned: VgpuTypeOption; NULL: create() takes no options for it */
        /* by the model, before the snapshot is published */
        char *key; /* the same for the same type on every host and with every driver (vgpu_type_make_key()) */
        char *earlier_name; /* what this id meant when it was seen before, where that was something else; NULL
                             */
} VgpuType;

/* An option that create() takes for a type, as an attribute of that name. */
typedef struct VgpuTypeOption {
        char *name; /* "vram_quota" */
        char *help; /* unit, range and meaning, for people: "bytes (K, M, G allowed), rounded up by the GPU" */
} VgpuTypeOption;
VgpuTypeOption *vgpu_type_option_new(const char *name, const char *help);
VgpuTypeOption *vgpu_type_option_free(VgpuTypeOption *o);

/* A setting of the whole GPU that decides what it offers: NVIDIA's "heterogeneous" and "mig", AMD's partitions.
 */
typedef struct VgpuMode {
        char *name;     /* "heterogeneous" */
        char *value;    /* now: "yes", "no", "NPS1", … */
        char **choices; /* what may be set; NULL: it is only shown */
        char *help;     /* for people */
} VgpuMode;
VgpuMode *vgpu_mode_new(const char *name, const char *value, const char *const *choices, const char *help);
VgpuMode *vgpu_mode_free(VgpuMode *m);

/* Who has a virtual function, where the back end looks at that. */
typedef struct VgpuVfBinding {
        char *name;     /* sysfs name */
        char *driver;   /* NULL: none */
        char *override; /* driver_override; NULL: none */
} VgpuVfBinding;

/* An instance as the kernel shows it. */
typedef struct InstanceDesc {
        char uuid[UUID_STRLEN + 1]; /* lower case. Empty in the result of scan() where the kernel has none: then
                                     * the model gives it one, by `slot` */
        char *slot; /* where the kernel has no UUIDs: what tells it from the others of the GPU, the sysfs name
                     * of its virtual function, or "vm3" (XenGT); else NULL */
        char *type_id;     /* NULL while the kernel has not made the link yet */
        uint64_t identity; /* where there is a slot: vgpu_io_identify() of the path; 0: not known. Filled in by
                            * the model */
        bool half_made;    /* making it has begun and not ended: whoever began it may have been killed */
        bool type_guessed; /* the kernel does not tell by which of the GPU's types it was made; the model puts
                            * in what it has on record */
        char *parent;      /* sysfs name of the parent: the GPU or one of its VFs */
        char *path;        /* below /sys, no links in it */
        char *device_api;  /* "vfio-pci" */
        char *driver;      /* driver of the instance itself, NULL if none is bound */
        int iommu_group;   /* -1: none */
        char *cdev;        /* name of the VFIO character device, "vfio3"; NULL when the kernel has none */
        GPtrArray *attributes; /* owned: VgpuAttribute: options as the kernel shows them now; NULL: none */
        char *restore; /* what destroy() has to put back, the back end's own text (CreateArgs.reserve); NULL:
                          nothing known */
} InstanceDesc;

typedef struct GpuSnapshot {
        int refs;
        GPtrArray *types; /* VgpuType, owned, sorted by id (numbers in it by value: nvidia-9 before nvidia-10)
                           */
        GPtrArray *instances; /* InstanceDesc, owned, sorted by UUID */
        GPtrArray *modes;     /* VgpuMode, owned, sorted by name */
        GPtrArray *bindings;  /* VgpuVfBinding, owned, in the order of the facts */
        char *unprepared;     /* why the GPU offers nothing now, one clause; NULL: it is prepared */
        VgpudHint hint;       /* what can be done about that */
        uint64_t taken_usec;  /* CLOCK_REALTIME */
        uint64_t began_usec;  /* the same in CLOCK_MONOTONIC */
} GpuSnapshot;

GpuSnapshot *gpu_snapshot_new(void);
GpuSnapshot *gpu_snapshot_ref(const GpuSnapshot *s);
GpuSnapshot *gpu_snapshot_unref(const GpuSnapshot *s);
/* What a scan would find if nothing but this had changed: the instances `made` (InstanceDesc) are there, that
 * of the UUID `removed` is not. Either may be NULL. What the types have room for stays as it was: what a back
 * end makes of it is VgpuDriver.predict(). */
GpuSnapshot *gpu_snapshot_predict(const GpuSnapshot *s, const GPtrArray *made, const char *removed);
/* An instance in the slot of this name is there. */
bool gpu_snapshot_has_slot(const GpuSnapshot *s, const char *slot);
/* Sort the arrays; called by the back end when it has filled them, and by the model when it has given UUIDs. */
void gpu_snapshot_seal(GpuSnapshot *s);

void gpu_snapshot_add_binding(GpuSnapshot *s, const char *name, const char *driver, const char *override);
/* NULL: not known. */
const VgpuVfBinding *gpu_snapshot_find_binding(const GpuSnapshot *s, const char *name);
bool gpu_snapshot_bindings_equal(const GpuSnapshot *a, const GpuSnapshot *b);

VgpuType *vgpu_type_new(const char *id);
VgpuType *vgpu_type_copy(const VgpuType *t);
VgpuType *vgpu_type_free(VgpuType *t);
bool vgpu_type_equal(const VgpuType *a, const VgpuType *b);
/* Other names of a type: the pretty name, its last word ("A2-4Q"), the id without its prefix ("GVTg_V5_4"),
 * none of which is a mere number ("create 1" is a slip of the hand). A NULL-terminated list, without duplicates
 * and without the id; never NULL. */
char **vgpu_type_aliases(const VgpuType *t);
/* True when `name` is the id or an alias. */
bool vgpu_type_matches(const VgpuType *t, const char *name);

/* The type by id, else by alias. NULL with *reterr NO_SUCH_TYPE (it lists what is offered) or AMBIGUOUS. */
const VgpuType *gpu_snapshot_find_type(const GpuSnapshot *s, const char *name, VgpudError *reterr);
const InstanceDesc *gpu_snapshot_find_instance(const GpuSnapshot *s, const char *uuid);

/* The canonical key of a type, "vendor/product/class/framebuffer in MiB/name" with "-" for what is not known:
 * "10de/A2/Q/4096/A2-4Q", "8086/-/-/512/GVTg_V5_4". `vendor` is that of the GPU, 0 for none. */
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
