/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* VFs that are handed out whole: bound to a VFIO driver, or reserved for one by driver_override. The back ends
 * with these VFs share the functions that recognise an instance, count the free VFs and explain the number,
 * refuse VFs that cannot be handed out, and record the VF that is chosen (CreateArgs.reserve). Functions with a
 * VgpuTarget block; call them in the lane of the GPU. */

#include "drivers-glue/driver.h"
#include "drivers-glue/vf/count.h"

/* The current state of a VF. */
typedef struct VfState {
        char *driver;   /* owned; NULL: none */
        char *override; /* owned; NULL: none */
        bool leaving;   /* vfs_is_leaving(): then the override is not read */
} VfState;

void vf_state_done(VfState *s);
/* -ENODEV or -ENOENT if the VF is gone. */
int vf_state_read(VgpuIo *io, const char *path, VfState *ret);
int vf_state_read_or_explain(VgpuTarget *t, const VgpuVf *vf, VfState *ret, VgpudError *reterr);
/* True for a VF that is an instance. If the VF is reserved for a VFIO driver, but not bound, the instance is
 * half made or half destroyed. */
bool vf_state_is_handed_out(const VfState *s);
/* True if driver_override is set, or a stub driver is bound. */
bool vf_state_is_reserved(const VfState *s);

/* Read the instance on a VF that is handed out. Takes ownership of s->driver. */
int vf_read_instance(VgpuTarget *t, const VgpuVf *vf, VfState *s, const char *type_id, InstanceDesc **ret);
/* Check the result r of reading a new instance. UNSUPPORTED if no VM can use the VF: it has neither an IOMMU
 * group nor a character device of VFIO. */
int vf_check_instance(VgpuTarget *t, const VgpuVf *vf, const InstanceDesc *d, int r, VgpudError *reterr);

/* ---- scan ---- */

/* The functions by which a back end reads VFs. */
typedef struct VfScan {
        const VfMethod *method; /* may be NULL */
        /* Read the instance on a VF. Takes ownership of s->driver. */
        int (*read_instance)(VgpuTarget *t, const VgpuVf *vf, VfState *s, InstanceDesc **ret);
        /* The graphics memory of a free VF; 0: unknown */
        uint64_t (*read_framebuffer)(VgpuTarget *t, const VgpuVf *vf);
        bool takes_bound; /* create() can hand out VFs that another program bound (vf/bound.h) */
} VfScan;

typedef struct VfCount {
        uint32_t all, handed_out, reserved, free;
        uint32_t shared;      /* free, but in an IOMMU group with a device that a driver of the host uses */
        uint32_t unread;      /* cannot be read: whether they are free is unknown */
        uint32_t bound;       /* bound by another program and not used, but not to be handed out */
        VgpudError bound_why; /* owned; why the first bound VF may not be handed out */
        uint64_t framebuffer_bytes; /* the least of all free VFs; 0: unknown */
} VfCount;

void vf_count_done(VfCount *c);
/* Read all VFs, add their bindings and instances to the snapshot, and count them. Sets GpuSnapshot.unprepared
 * if the GPU has no VFs, or if no VFIO driver is loaded and no VF is handed out. *ret must be zero. -EAGAIN:
 * see VgpuDriver.scan. */
int vf_scan(VgpuTarget *t, const VfScan *scan, GpuSnapshot *s, VfCount *ret, VgpudError *reterr);
/* VgpuDriver.find_instances: the instance on the VF `name`, if the VF is handed out. */
void vf_find_instances(VgpuTarget *t, const VfScan *scan, const char *name, GpuSnapshot *s);
/* A type for the free VFs, with the reason and the hint why there are no more. `s`: after vf_scan(). Takes
 * ownership of `options`. */
VgpuType *vf_type_new(const GpuFacts *f, const VfMethod *method, const char *id, const char *description,
                      const VfCount *count, const GpuSnapshot *s, GPtrArray *options);

/* ---- refusals before a VF is handed out ---- */

int vf_refuse_taken(VgpuTarget *t, const VgpuVf *vf, const VfState *s, VgpudError *reterr);
int vf_refuse_reserved(VgpuTarget *t, const VgpuVf *vf, const VfState *s, VgpudError *reterr);
int vf_refuse_shared_group(VgpuTarget *t, const VgpuVf *vf, VgpudError *reterr);
/* Error NO_CAPACITY: no VF is free for `type`, which scan() has just read. */
int vf_explain_none_free(VgpuTarget *t, const VgpuType *type, VgpudError *reterr);
/* Find the driver to bind the VF to (vfio_find_driver()). UNSUPPORTED if none is loaded. */
int vf_find_vfio_driver(VgpuTarget *t, const VgpuVf *vf, char **ret, VgpudError *reterr);
/* Put the chosen VF and its earlier state on record before the first write. */
int vf_reserve(const CreateArgs *args, const VgpuVf *vf, const char *restore, VgpudError *reterr);

/* Find the VF of an instance that is to be destroyed. 1: *ret is the VF, borrowed from the instance; its index
 * is UINT32_MAX if unknown. 0: the VF is gone, belongs to another GPU, or is not handed out. */
int vf_find_handed_out(VgpuTarget *t, const InstanceDesc *instance, VgpuVf *ret, VgpudError *reterr);
