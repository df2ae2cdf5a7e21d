/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* VFs bound to a driver of VFIO by another program, mostly by a udev rule for every VF at boot. While no
 * program uses such a VF, vgpud shows the VF as "bound, free", not as an instance. vgpud hands the VF out only
 * where vgpud.conf has take-bound=yes, and never while a libvirt domain or mdevctl is configured to use the VF
 * (io/definitions.h). The functions block; call them in the lane of the GPU. */

#include "drivers-glue/driver.h"
#include "drivers-glue/vf/handout.h"

/* Data read once for all VFs of a GPU, on first use. Begin with { .t = t }. */
typedef struct VfBound {
        VgpuTarget *t;
        GHashTable *held; /* owned; nodes below /dev/vfio that processes have open; NULL: not read, or not known
                           */
        bool held_read;
        VgpuDefinitions *definitions; /* owned; NULL: not read */
} VfBound;

void vf_bound_done(VfBound *b);

/* True for a VF that another program bound: its driver is one of VFIO, and vgpud has no record of the VF. */
bool vf_bound_is_foreign(const VgpuTarget *t, const VgpuVf *vf, const VfState *s);
/* True if vf_bound_is_foreign() and no process has the VF open. The function only searches /proc, because
 * opening the group would lock out a VM that is starting. Before a change, the caller must check with
 * vfs_keep_out(). */
bool vf_bound_is_free(VfBound *b, const VgpuVf *vf, const VfState *s);

/* Refuse to hand out or to remove a VF that another program bound: NO_CAPACITY without take-bound=yes, IN_USE
 * if a definition of mdevctl or libvirt names the VF, or if a definition cannot be read. */
int vf_bound_refuse(VfBound *b, const VgpuVf *vf, const VfState *s, VgpudError *reterr);

/* True if the VF in the slot was bound to a driver of VFIO before vgpud handed the VF out, and is in that state
 * (`restore`) again. False if driver_override already named this driver before: then a VF that was returned
 * looks the same as a VF that is handed out. */
bool vf_bound_is_returned(VgpuTarget *t, const char *slot, const char *restore);
/* Refuse to return a VF in use whose driver does not change: vfs_bind() would not notice the user, because it
 * checks for users only before an unbind. Adds the group to `held` (vfs_keep_out()). */
int vf_bound_refuse_use(VgpuTarget *t, const VgpuVf *vf, const VfState *was, GArray *held, VgpudError *reterr);
