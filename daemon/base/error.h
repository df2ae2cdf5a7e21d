/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The error model. A function returns a negative errno. Its last argument, `reterr`, is the VgpudError for the
 * explanation (may be NULL); the function that knows the reason fills it, and only on failure. Callers branch
 * on codes, never on messages.
 *
 * The table below defines every code: D-Bus name, errno, exit status, and the text in the manual.
 *
 * Columns: id, D-Bus name after "org.vgpud1.Error.", errno, exit status of vgpuctl, text for the manual. */

#include <stdbool.h>
#include <stdint.h>

#include "base/hint.h"
#include "base/macros.h"

#define VGPUD_ERRORS(X)                                                                                                                                 \
        X(FAILED, "Failed", EIO, 1, "the kernel or a driver refused, for a reason without a code of its own")                                           \
        X(INVALID, "InvalidArgs", EINVAL, 2, "a name, UUID, option or value is malformed or unknown")                                                   \
        X(NO_SUCH_GPU, "NoSuchGpu", ENXIO, 3, "no GPU has that name")                                                                                   \
        X(NO_SUCH_TYPE, "NoSuchType", ENOENT, 3, "the GPU does not offer that type, or no GPU offers it")                                               \
        X(NO_SUCH_INSTANCE, "NoSuchInstance", ENODEV, 3, "no instance has that UUID or name")                                                           \
        X(NO_SUCH_DEFINITION, "NoSuchDefinition", ENODATA, 3,                                                                                           \
          "no definition has that UUID or name, or the instance has no definition")                                                                     \
        X(NO_SUCH_JOB, "NoSuchJob", ESRCH, 3,                                                                                                           \
          "no job has that number, or the daemon does not keep the ended job any more")                                                                 \
        X(AMBIGUOUS, "Ambiguous", ENOTUNIQ, 2, "the name matches more than one object")                                                                 \
        X(NOT_AUTHORIZED, "NotAuthorized", EACCES, 4, "polkit denied the request, or is not running")                                                   \
        X(FOREIGN, "Foreign", EPERM, 4,                                                                                                                 \
          "another program created the instance, and the request does not allow foreign ones")                                                          \
        X(NO_CAPACITY, "NoCapacity", ENOSPC, 5, "the GPU has no room for another instance of that type")                                                \
        X(QUOTA, "QuotaExceeded", EMFILE, 5, "the user or the host has as many definitions as vgpud allows")                                            \
        X(TOO_MANY_JOBS, "TooManyJobs", EDQUOT, 6, "the queue of the GPU or of the user is full")                                                       \
        X(TOO_MANY_CALLS, "TooManyCalls", EUSERS, 6,                                                                                                    \
          "no place is free for another waiting call of the user, or too many answers of vgpud are unread on the bus")                                  \
        X(EXISTS, "Exists", EEXIST, 6, "an instance or definition with that UUID or name exists already")                                               \
        X(DEFINED, "Defined", ENOTEMPTY, 6,                                                                                                             \
          "the instance has a definition, and the request is for instances without one")                                                                \
        X(IN_USE, "InUse", EBUSY, 6, "a process or VM uses the device, or vgpud cannot tell whether one does")                                          \
        X(GPU_STUCK, "GpuStuck", ETIMEDOUT, 6, "an earlier operation on the GPU is blocked in the kernel")                                              \
        X(TIMEOUT, "Timeout", ETIME, 8,                                                                                                                 \
          "the timeout of the caller passed before the job ended, and the job goes on")                                                                 \
        X(GPU_GONE, "GpuGone", ENOLINK, 1, "the GPU or its driver went away during the operation")                                                      \
        X(CANCELED, "Canceled", ECANCELED, 1,                                                                                                           \
          "the job was canceled, or the daemon stopped before the job ended")                                                                           \
        X(UNSUPPORTED, "NotSupported", EOPNOTSUPP, 7,                                                                                                   \
          "the GPU or its driver does not support the request, the GPU must be prepared first, or vgpud.conf or the request's options exclude the GPU") \
        X(INCONSISTENT, "Inconsistent", ENOTRECOVERABLE, 1,                                                                                             \
          "the rollback of a failed operation failed as well; vgpud reads the state of the GPU again")

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
        int errnum;     /* positive errno of the kernel; 0 when no system call failed */
        char *message;  /* owned; one clause without the full stop: what failed and why */
        VgpudHint hint; /* advice for the caller; see base/hint.h */
        uint32_t job;   /* number of the job that the caller has to wait for; 0: none */
} VgpudError;

#define VGPUD_ERROR_INIT ((VgpudError){ 0 })

/* Fill *e (may be NULL) and return the negative errno of the code, never 0. The message has no control
 * characters and at most TEXT_MESSAGE_MAX bytes (base/text.h); foreign texts in it should be quoted. */
int vgpud_error_setf(VgpudError *e, VgpudErrorCode code, const char *format, ...) _printf_(3, 4) _cold_;

/* vgpud_error_setf() that also sets errnum. `r`: the negative errno of a system call; 0 or more if the call
 * succeeded but another program undid its effect. In that case errnum is 0. */
int vgpud_error_set_errnof(VgpudError *e, VgpudErrorCode code, int r, const char *format, ...)
                _printf_(4, 5) _cold_;

/* Replace the hint of an error that has been set; `e` may be NULL. */
void vgpud_error_hintf(VgpudError *e, VgpudHintId id, const char *format, ...) _printf_(3, 4) _cold_;

/* Set the job that an error is about, and the hint to wait for its end; `e` may be NULL. */
void vgpud_error_hint_job(VgpudError *e, uint32_t job) _cold_;

/* Empty *e (may be NULL), so that it can be used again. */
void vgpud_error_done(VgpudError *e);
#define _cleanup_vgpud_error_ _cleanup_(vgpud_error_done)

/* Check that a function that failed has set an error. If it has not, which is a bug, log the bug and set
 * FAILED. Does not abort, because the other GPUs still work. */
void vgpud_error_require(VgpudError *e);

/* Move *src to *dst (may be NULL) and empty *src. Calls vgpud_error_require(). Returns the negative errno of
 * the code, so that `return vgpud_error_move(reterr, &e)` passes the error on. */
int vgpud_error_move(VgpudError *dst, VgpudError *src);

/* Replaces *dst by a copy. */
void vgpud_error_copy(VgpudError *dst, const VgpudError *src);

/* "org.vgpud1.Error.NoCapacity" and the way back (VGPUD_ERROR_NONE for other names). */
const char *vgpud_error_code_to_dbus(VgpudErrorCode code);
VgpudErrorCode vgpud_error_code_from_dbus(const char *name);

/* The positive errno, the exit status of vgpuctl and the manual's text of a code. */
int vgpud_error_code_to_errno(VgpudErrorCode code);
int vgpud_error_code_to_exit_status(VgpudErrorCode code);
const char *vgpud_error_code_to_text(VgpudErrorCode code);

/* The code for a negative errno that comes without an explanation; VGPUD_ERROR_FAILED if no code has this
 * errno.
 */
VgpudErrorCode vgpud_error_code_from_errno(int r);
