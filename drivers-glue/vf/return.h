/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The way back of a VF: the state to restore, and the end of a destroy() or of a rollback. */

#include "drivers-glue/vf/handout.h"

/* The state of a VF before it was handed out. As text: "driver=foo override=… quota.vram_quota=…" */
typedef struct VfRestore {
        VfState state;
        GPtrArray *quotas; /* owned: VgpuAttribute; NULL: none */
} VfRestore;

void vf_restore_done(VfRestore *r);
/* "" if nothing is to be restored. */
char *vf_restore_to_text(const VfRestore *r);
/* Parse a text from a file; invalid items are ignored. So is a driver that is not loaded any more: the VF then
 * gets no driver. */
void vf_restore_from_text(VgpuIo *io, const char *text, VfRestore *ret);

/* True if another program has bound the VF to a driver that is neither VFIO's nor the one before. */
bool vf_is_taken_over(const VfState *now, const VfState *was);

/* Restore driver and driver_override of a VF: the last step of every return. If the VF is in use, it stays
 * handed out, also if its driver is the right one. If the earlier driver refuses the VF, that is the error, and
 * the VF is left without a driver, free for a new instance. */
int vf_return(VgpuTarget *t, const VgpuVf *vf, const VfState *was, VgpudError *reterr);
/* Explain the result r of returning a VF for destroy(), with the error *cause, which is emptied. The message
 * says whether the instance is gone nevertheless. */
int vf_explain_destroy(VgpuTarget *t, const VgpuVf *vf, int r, VgpudError *cause, VgpudError *reterr);

/* Serve VgpuDriver.finish_interrupted: find the VF in this slot if its return to the driver in `restore` was
 * interrupted. Such a VF is not handed out any more, and its driver_override names that driver: the last step
 * of the return, which sets the driver_override in `restore`, is missing. *ret is the parsed `restore`. NULL:
 * no interrupted return. */
const VgpuVf *vf_find_interrupted(VgpuTarget *t, const char *slot, const char *restore, VfRestore *ret);

/* Explain the failure *cause, which is emptied, after a rollback with the result r and the error *again. */
int vf_explain_undo(const VgpuVf *vf, int r, const VgpudError *again, VgpudError *cause, VgpudError *reterr);
