/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Errors that all back ends report in the same way. Each function fills *reterr and returns the negative errno
 * of its code; r is the negative errno that the kernel answered. */

#include "base/error.h"
#include "drivers-glue/attribute.h"
#include "drivers-glue/facts.h"
#include "drivers-glue/snapshot.h"

/* Reasons of a refusal by the kernel or a driver, by errno, with a hint. The hint columns may be left out. A
 * table ends with { 0 }. */
typedef struct Refusal {
        int errnum;
        VgpudErrorCode code;
        const char *why;
        VgpudHintId hint_id;
        const char *hint;
} Refusal;

/* Find the row for the negative errno r. NULL: the table has no such row. */
const Refusal *refusal_find(const Refusal *table, int r);

/* "a nvidia-746 cannot be created on 0000:08:00.4: Invalid argument: WHY". Reason and hint come from the table
 * (may be NULL), else from a table for all back ends, else the hint points to the kernel log. */
int explain_refusal(const Refusal *table, int r, VgpudError *reterr, const char *format, ...)
                _printf_(4, 5) _cold_;

/* GPU_GONE. An r of 0 stands for -ENODEV. */
int explain_gpu_gone(const GpuFacts *facts, int r, VgpudError *reterr) _cold_;

/* Why a read failed: "not a number" for -EBADMSG, else strerror(). */
const char *explain_read_error(int r);

/* FAILED: a path below /sys cannot be read. */
int explain_unreadable(const char *path, int r, VgpudError *reterr) _cold_;

/* Turn r, the result of reading a path of the GPU, into 0, GPU_GONE if the path went away, or FAILED. */
int explain_read(const GpuFacts *facts, const char *path, int r, VgpudError *reterr);

/* Error IN_USE: the check for users failed. The format names the failed step. */
int explain_use_unknown(int r, VgpudError *reterr, const char *format, ...) _printf_(3, 4) _cold_;

/* UNSUPPORTED: the VF has no IOMMU group. r: 0 if no write failed because of this. */
int explain_no_iommu(const VgpuVf *vf, int r, VgpudError *reterr) _cold_;

/* INVALID: the caller named a VF that the GPU does not have. */
int explain_no_vf(const GpuFacts *facts, const char *name, VgpudError *reterr) _cold_;

/* NO_SUCH_TYPE; the hint lists the types that the snapshot offers. `where`: the GPU, or the parent that was
 * asked for. */
int explain_no_such_type(const GpuSnapshot *s, const char *type_id, const char *where,
                         VgpudError *reterr) _cold_;

/* Set the hint of NO_CAPACITY: choose one of the types that still have room; else the hint of the wanted type;
 * else destroy an instance. */
void explain_alternatives(const GpuSnapshot *s, const char *type_id, VgpudError *reterr);

/* INVALID: the value of an option is not valid; the hint is the help of the option. */
int explain_option(const VgpuAttribute *a, const char *help, VgpudError *reterr) _cold_;

/* Explain that the write of a vendor attribute failed: INVALID if the caller can correct the attribute, else
 * FAILED. */
int explain_attribute(const VgpuAttribute *a, int r, VgpudError *reterr) _cold_;

/* INCONSISTENT: the operation failed because of *cause (emptied), and the rollback failed too. r: result of the
 * rollback; 0 if it reported success, but the device still exists. why: explanation of r; NULL: strerror(). */
int explain_rollback(const char *what, int r, const char *why, VgpudError *cause, VgpudError *reterr) _cold_;

/* Add the hint of the cause to *reterr (may be NULL), which reports the same problem. No hint: no change. */
void explain_copy_hint(const VgpudHint *hint, VgpudError *reterr);
