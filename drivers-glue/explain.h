/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The errors that all back ends report alike. Each function fills *reterr and returns the negative errno of its
 * code; r is the negative errno that the kernel answered. */

#include "base/error.h"
#include "drivers-glue/attribute.h"
#include "drivers-glue/facts.h"
#include "drivers-glue/snapshot.h"

/* Why the kernel or a driver refuses something, by errno, and what a person can do about it. The columns of the
 * hint may be left out. A table ends with { 0 }. */
typedef struct Refusal {
        int errnum;
        VgpudErrorCode code;
        const char *why;
        VgpudHintId hint_id;
        const char *hint;
} Refusal;

/* Reasons of several tables. Drivers with the firmware GuC answer EPROTO themselves. */
#define EXPLAIN_GUC_OR_WRITER \
        "the GPU's firmware (GuC) refused, or vgpud-write could not be started or died before it answered (see the daemon's log)"
#define EXPLAIN_WEDGED \
        "the driver has given the GPU up after an error (it is \"wedged\"); unbind and bind the driver, or reboot"

/* NULL: the table has no entry for this errno. */
const Refusal *refusal_find(const Refusal *table, int r);

/* "cannot create a vGPU on 0000:08:00.4: Invalid argument: WHY". The reason comes from the table (NULL: there
 * is none), else from one for all back ends: permissions, a failure of vgpud-write, or a hint to the kernel's
 * log. */
int explain_refusal(const Refusal *table, int r, VgpudError *reterr, const char *format, ...)
                _printf_(4, 5) _cold_;

/* GPU_GONE. An r of 0 stands for -ENODEV. */
int explain_gpu_gone(const GpuFacts *facts, int r, VgpudError *reterr) _cold_;

/* FAILED: a path below /sys cannot be read. */
int explain_unreadable(const char *path, int r, VgpudError *reterr) _cold_;

/* Check r, the result of reading a path of the GPU: 0, GPU_GONE when the path went away, else FAILED. */
int explain_read(const GpuFacts *facts, const char *path, int r, VgpudError *reterr);

/* IN_USE, because the check for users failed: the format says what failed. */
int explain_use_unknown(int r, VgpudError *reterr, const char *format, ...) _printf_(3, 4) _cold_;

/* UNSUPPORTED: the VF has no IOMMU group. r: 0 when no write failed because of it. */
int explain_no_iommu(const VgpuVf *vf, int r, VgpudError *reterr) _cold_;

/* INVALID: the caller named a VF that the GPU does not have. */
int explain_no_vf(const GpuFacts *facts, const char *name, VgpudError *reterr) _cold_;

/* NO_SUCH_TYPE, with the types that the snapshot offers. `where`: the GPU, or the parent that was asked for. */
int explain_no_such_type(const GpuSnapshot *s, const char *type_id, const char *where,
                         VgpudError *reterr) _cold_;

/* INVALID: the value of an option is not what its help says. */
int explain_option(const VgpuAttribute *a, const char *help, VgpudError *reterr) _cold_;

/* The write of a vendor attribute failed: INVALID when the caller can mend it, else FAILED. */
int explain_attribute(const VgpuAttribute *a, int r, VgpudError *reterr) _cold_;

/* INCONSISTENT: the operation failed because of *cause, which is emptied, and so did its rollback. r: what the
 * rollback returned, 0 when only its effect is missing. why: its explanation; NULL: the errno explains it. */
int explain_rollback(const char *what, int r, const char *why, VgpudError *cause, VgpudError *reterr) _cold_;

/* Add the hint of the cause to *reterr (may be NULL), which reports the same problem. No hint: no change. */
void explain_copy_hint(const VgpudHint *hint, VgpudError *reterr);
