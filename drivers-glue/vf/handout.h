/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Virtual functions handed out whole: bound to a driver of VFIO, or reserved for one by their driver_override.
 * What the back ends share whose instances are such functions (sriov, gim-legacy): how one is recognised, how
 * many are left and why no more, and what it was before, as a line of text for CreateArgs.claim. Everything
 * with a VgpuTarget blocks and is called in the lane of the GPU. */

#include "drivers-glue/driver.h"
#include "drivers-glue/vf/count.h"

/* One function, as it is now. */
typedef struct VfState {
        char *driver;   /* owned; NULL: none */
        char *override; /* owned; NULL: none */
        bool leaving;   /* vfs_is_leaving(): then the override is not read */
} VfState;

void vf_state_done(VfState *s);
/* -ENODEV, -ENOENT when it has gone. */
int vf_state_read(VgpuIo *io, const char *path, VfState *ret);
int vf_state_read_or_explain(VgpuTarget *t, const VgpuVf *vf, VfState *ret, VgpudError *reterr);
/* An instance; without a driver but reserved for one it is half made, or half destroyed. */
bool vf_state_is_handed_out(const VfState *s);
/* Somebody means it for something else than its usual driver. */
bool vf_state_is_reserved(const VfState *s);

/* The instance on a function that is handed out. Takes s->driver. */
int vf_read_instance(VgpuTarget *t, const VgpuVf *vf, VfState *s, const char *type_id, InstanceDesc **ret);
/* The same right after it was made: errors are explained, and one that no virtual machine could have
 * (UNSUPPORTED: it has no IOMMU group) is none. */
int vf_check_instance(VgpuTarget *t, const VgpuVf *vf, const InstanceDesc *d, int r, VgpudError *reterr);

/* ---- scan ---- */

/* How a back end reads its VFs. */
typedef struct VfScan {
        const VfMethod *method; /* may be NULL */
        /* Read the instance on a VF. Takes s->driver. */
        int (*read_instance)(VgpuTarget *t, const VgpuVf *vf, VfState *s, InstanceDesc **ret);
        /* The graphics memory of a free VF; 0: unknown */
        uint64_t (*read_framebuffer)(VgpuTarget *t, const VgpuVf *vf);
} VfScan;

typedef struct VfCount {
        uint32_t all, handed_out, reserved, free;
        uint64_t framebuffer_bytes; /* the least of all free VFs; 0: unknown */
} VfCount;

/* Read all VFs: their bindings and instances go into the snapshot, and the reason if none can be handed out
 * (GpuSnapshot.unprepared). *ret is zero before. */
int vf_scan(VgpuTarget *t, const VfScan *scan, GpuSnapshot *s, VfCount *ret, VgpudError *reterr);
/* A type for the free ones, with the reason why there are no more. Takes `options`. */
VgpuType *vf_type_new(const GpuFacts *f, const VfMethod *method, const char *id, const char *description,
                      const VfCount *count, const char *unprepared, GPtrArray *options);

/* Before one is handed out */

int vf_refuse_taken(VgpuTarget *t, const VgpuVf *vf, const VfState *s, VgpudError *reterr);
int vf_refuse_reserved(VgpuTarget *t, const VgpuVf *vf, const VfState *s, VgpudError *reterr);
int vf_refuse_shared_group(VgpuTarget *t, const VgpuVf *vf, VgpudError *reterr);
/* NO_CAPACITY: none of `type`, which scan() has just looked at, is left. */
int vf_explain_none_free(VgpuTarget *t, const VgpuType *type, VgpudError *reterr);
/* The driver to bind it to, vfio_find_driver(); UNSUPPORTED: none is loaded. */
int vf_find_vfio_driver(VgpuTarget *t, const VgpuVf *vf, char **ret, VgpudError *reterr);
/* Have it written down that the function was chosen, and what it was. */
int vf_reserve(const CreateArgs *args, const VgpuVf *vf, const char *restore, VgpudError *reterr);

/* The function that carries the instance, for destroy(). 1: it is handed out; in *ret nothing is owned, and its
 * index is UINT32_MAX when it is not known. 0: it is not, or not one of this GPU's any more, or has gone. */
int vf_find_handed_out(VgpuTarget *t, const InstanceDesc *instance, VgpuVf *ret, VgpudError *reterr);

/* What a function was before it was handed out, as one line of text: "driver=xe override=… quota.vram_quota=…"
 */
typedef struct VfRestore {
        VfState state;
        GPtrArray *quotas; /* owned: VgpuAttribute; NULL: none */
} VfRestore;

void vf_restore_done(VfRestore *r);
/* "" when there is nothing to put back. */
char *vf_restore_to_text(const VfRestore *r);
/* What makes no sense in it is left out: it comes from a file. So is a driver that is not loaded any more, for
 * that did not leave it: the function has none then. */
void vf_restore_from_text(VgpuIo *io, const char *text, VfRestore *ret);

/* The last step of every return: its driver and driver_override are again what they were. It is taken from
 * whatever has it, which is refused while somebody uses it; then it stays handed out. Where the driver does not
 * take it again, that is the error, and it is left with none: free, and to be handed out again. */
int vf_return(VgpuTarget *t, const VgpuVf *vf, const VfState *was, VgpudError *reterr);
/* For destroy(): r is what came of returning it, and *cause its explanation, which is emptied. Where the
 * instance has gone all the same, that is said. */
int vf_explain_destroy(VgpuTarget *t, const VgpuVf *vf, int r, VgpudError *cause, VgpudError *reterr);

/* For VgpuDriver.finish_interrupted: the function in this slot, when it was being returned to a driver. Then
 * its driver_override names that driver, which it did not before, and it is not handed out any more. Else NULL.
 */
const VgpuVf *vf_find_interrupted(VgpuTarget *t, const char *slot, const char *restore, VfRestore *ret);

/* After putting back what was there, because of *cause, which is emptied: r is what that came to, and *again
 * its explanation. */
int vf_explain_undo(const VgpuVf *vf, int r, const VgpudError *again, VgpudError *cause, VgpudError *reterr);
