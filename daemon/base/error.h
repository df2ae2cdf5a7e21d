/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The one error model. Control flow is a negative errno; the explanation, where there is one, is a VgpudError
 * that the caller may ask for with `reterr` (last argument, may be NULL, written only on failure and only once,
 * by whoever knows most). Nobody branches on the message.
 *
 * The table below is the one list of errors. From it come the D-Bus names, the errno a code stands for, the
 * exit status of vgpuctl and the text of the manual.
 *
 * Columns: id, D-Bus name after "org.vgpud1.Error.", errno, exit status of vgpuctl, text for the manual. */

#include <stdbool.h>

#include "base/hint.h"
#include "base/macros.h"

#define VGPUD_ERRORS(X)                                                                                       \
        X(FAILED, "Failed", EIO, 1,                                                                           \
          "the kernel or a driver refused, for a reason that has no name of its own")                         \
        X(INVALID, "InvalidArgs", EINVAL, 2, "a name, UUID, option or value is malformed or unknown")         \
        X(NO_SUCH_GPU, "NoSuchGpu", ENXIO, 3, "there is no GPU of that name")                                 \
        X(NO_SUCH_TYPE, "NoSuchType", ENOENT, 3, "the GPU does not offer that type, or no GPU at all does")   \
        X(NO_SUCH_INSTANCE, "NoSuchInstance", ENODEV, 3, "there is no instance of that UUID or name")         \
        X(NO_SUCH_JOB, "NoSuchJob", ESRCH, 3, "there is no job of that number, or it has ended")              \
        X(AMBIGUOUS, "Ambiguous", ENOTUNIQ, 2, "more than one object begins with what was given")             \
        X(NOT_AUTHORIZED, "NotAuthorized", EACCES, 4, "polkit, or its absence, forbids it")                   \
        X(FOREIGN, "Foreign", EPERM, 4,                                                                       \
          "vgpud did not make the instance, and was not told to touch it anyway")                             \
        X(NO_CAPACITY, "NoCapacity", ENOSPC, 5, "there is no room for another instance of that type")         \
        X(TOO_MANY_JOBS, "TooManyJobs", EDQUOT, 6, "the queue of the GPU or of the user is full")             \
        X(EXISTS, "Exists", EEXIST, 6, "an instance of that UUID or name is already there")                   \
        X(IN_USE, "InUse", EBUSY, 6, "somebody holds the instance, or nobody can tell whether somebody does") \
        X(GPU_STUCK, "GpuStuck", ETIMEDOUT, 6,                                                                \
          "an earlier operation on the GPU has not come back from the kernel")                                \
        X(GPU_GONE, "GpuGone", ENOLINK, 1, "the GPU or its driver went away meanwhile")                       \
        X(CANCELED, "Canceled", ECANCELED, 1, "the job was cancelled, or the daemon stopped before it began") \
        X(UNSUPPORTED, "NotSupported", EOPNOTSUPP, 7,                                                         \
          "the GPU or its driver cannot do that, or not before the GPU is prepared, or vgpud.conf or the "    \
          "request itself rules every GPU out")                                                               \
        X(INCONSISTENT, "Inconsistent", ENOTRECOVERABLE, 1,                                                   \
          "undoing a failed operation failed as well; state was read again")

typedef enum VgpudErrorCode {
        VGPUD_ERROR_NONE,
#define X(id, name, eno, exit_status, text) VGPUD_ERROR_##id,
        VGPUD_ERRORS(X)
#undef X
                        _VGPUD_ERROR_MAX,
} VgpudErrorCode;

#define VGPUD_ERROR_DBUS_PREFIX "org.vgpud1.Error."

typedef struct VgpudError {
        VgpudErrorCode code;
        int errnum;     /* what the kernel said, positive; 0 when it was not asked */
        char *message;  /* owned; one clause without the full stop: what failed and why */
        VgpudHint hint; /* what the caller can do; see base/hint.h */
} VgpudError;

#define VGPUD_ERROR_INIT ((VgpudError){ 0 })

/* Fill *e (may be NULL) and return the negative errno of the code, never 0. */
int vgpud_error_setf(VgpudError *e, VgpudErrorCode code, const char *format, ...) _printf_(3, 4) _cold_;

/* The same after a failed system call: r is its negative errno, kept in errnum, or 0 when the kernel was not
 * asked. Returns the negative errno of the code, so that callers can tell codes apart by it. */
int vgpud_error_set_errnof(VgpudError *e, VgpudErrorCode code, int r, const char *format, ...)
                _printf_(4, 5) _cold_;

/* Add what can be done to an error that has been set; `e` may be NULL. */
void vgpud_error_hintf(VgpudError *e, VgpudHintId id, const char *format, ...) _printf_(3, 4) _cold_;

/* Empty *e (may be NULL); it can be used again. */
void vgpud_error_done(VgpudError *e);
#define _cleanup_vgpud_error_ _cleanup_(vgpud_error_done)

/* Move *src into *dst (may be NULL, is emptied before); *src is empty afterwards. Returns the negative errno of
 * the code of *src, so that `return vgpud_error_move(reterr, &e)` passes the error on. */
int vgpud_error_move(VgpudError *dst, VgpudError *src);

/* Replaces *dst by a copy. */
void vgpud_error_copy(VgpudError *dst, const VgpudError *src);

/* "org.vgpud1.Error.NoCapacity" and the way back (VGPUD_ERROR_NONE when the name is none of ours). */
const char *vgpud_error_code_to_dbus(VgpudErrorCode code);
VgpudErrorCode vgpud_error_code_from_dbus(const char *name);

/* The positive errno, the exit status of vgpuctl and the manual's text of a code. */
int vgpud_error_code_to_errno(VgpudErrorCode code);
int vgpud_error_code_to_exit_status(VgpudErrorCode code);
const char *vgpud_error_code_to_text(VgpudErrorCode code);

/* The code that stands for a negative errno when nobody explained it: VGPUD_ERROR_FAILED if the table has none.
 */
VgpudErrorCode vgpud_error_code_from_errno(int r);
