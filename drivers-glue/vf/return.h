/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The return of a VF to its state before it was handed out, by destroy() or by the rollback of create(). */

#include "drivers-glue/vf/handout.h"

/* The state of a VF before it was handed out. As text: "driver=foo override=… quota.vram_quota=…" */
typedef struct VfRestore {
        VfState state;
        GPtrArray *quotas; /* owned: VgpuAttribute; NULL: none */
} VfRestore;

void vf_restore_done(VfRestore *r);
/* "" if nothing is to be restored. */
char *vf_restore_to_text(const VfRestore *r);
/* Parse the text of a record. Invalid items are ignored, and also a driver that is not loaded any more: the VF
 * then gets no driver. */
void vf_restore_from_text(VgpuIo *io, const char *text, VfRestore *ret);

/* True if another program has bound the VF to a driver that is neither a VFIO driver nor the earlier driver. */
bool vf_is_taken_over(const VfState *now, const VfState *was);

/* Restore driver and driver_override of a VF. The caller restores the quotas. If the VF is in use, it stays
 * handed out, even if it has its earlier driver already. If the earlier driver refuses the VF, the function
 * returns the error of that driver, and leaves the VF without a driver, free for a new instance. */
int vf_return(VgpuTarget *t, const VgpuVf *vf, const VfState *was, VgpudError *reterr);
/* For destroy(): explain the result r and the error *cause of the return of a VF. Empties *cause. The message
 * says whether the instance is gone nevertheless. */
int vf_explain_destroy(VgpuTarget *t, const VgpuVf *vf, int r, VgpudError *cause, VgpudError *reterr);

/* Serve VgpuDriver.finish_interrupted: find the VF in this slot if vf_return() was interrupted between two
 * writes to driver_override: the first names the earlier driver, so that the kernel binds that driver, and the
 * second writes the value that `restore` has. *ret is the parsed `restore`. NULL: no interrupted return. */
const VgpuVf *vf_find_interrupted(VgpuTarget *t, const char *slot, const char *restore, VfRestore *ret);

/* Explain the failure *cause, which is emptied. r and *again are the result and the error of the rollback. */
int vf_explain_undo(const VgpuVf *vf, int r, const VgpudError *again, VgpudError *cause, VgpudError *reterr);
