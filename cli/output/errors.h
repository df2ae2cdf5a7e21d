/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Errors and remarks on stderr: as text, or with --json as one line of JSON. */

#include "base/error.h"
#include "base/hint.h"
#include "cli/arguments.h"
#include "cli/output/json.h"

/* Why a job for several instances failed for one of them. All members are owned; hint and hint_id may be NULL.
 */
typedef struct FailureInfo {
        char *instance; /* UUID */
        char *error_name;
        char *message;
        char *hint;
        char *hint_id;
} FailureInfo;

/* An error with its details. All members are owned. The arrays are NULL while empty. */
typedef struct ErrorInfo {
        char *name; /* D-Bus name; NULL: no error */
        char *message;
        char *hint; /* NULL: none */
        char *hint_id;
        int status;           /* exit status; set by call_error_explain() and the functions below */
        uint32_t job;         /* 0: none */
        GArray *jobs;         /* uint32_t: all jobs of the command that go on or failed */
        GPtrArray *instances; /* UUIDs */
        GPtrArray *failures;  /* FailureInfo */
        uint32_t n_failures;  /* number of all failures; `failures` may lack some */
} ErrorInfo;

void error_info_done(ErrorInfo *e);
#define _cleanup_error_info_ _cleanup_(error_info_done)
void error_info_copy(ErrorInfo *dst, const ErrorInfo *src); /* dst is empty */

VgpudErrorCode error_info_code(const ErrorInfo *e); /* VGPUD_ERROR_NONE: not an error of vgpud */

/* Fills an empty error with the name, the exit status and the general hint of a code. */
void error_info_set(ErrorInfo *e, VgpudErrorCode code, const char *message);
void error_info_set_hint(ErrorInfo *e, VgpudHintId id, const char *text); /* replaces the hint */
void error_info_set_general_hint(ErrorInfo *e, VgpudErrorCode code); /* the hint of a code, if it has one */
void error_info_add_job(ErrorInfo *e, uint32_t job);
void error_info_add_instance(ErrorInfo *e, char *uuid); /* takes ownership */
GPtrArray *failures_new(void);

/* Print an error and return its exit status. `object` (may be NULL) is the object as the user named it. */
int error_info_print(const Arguments *a, const ErrorInfo *e, const char *object);
int fail(const Arguments *a, VgpudErrorCode code, const char *object, const char *format, ...) _printf_(4, 5);
int fail_usage(const Arguments *a, const char *format, ...) _printf_(2, 3);

/* json_error() writes an error as an object, or null if the error has no name. json_failures() writes an array
 * of failures, which may be NULL. */
void json_error(Json *j, const char *key, const ErrorInfo *e, const char *object);
void json_failures(Json *j, const char *key, const GPtrArray *failures);

/* Remarks are only for people. remarks_wanted() is true if stderr is a terminal and neither -q nor --json is
 * given; otherwise remark() prints nothing. warn() prints also into a file, but nothing with -q or --json. */
bool remarks_wanted(const Arguments *a);
void remark(const Arguments *a, const char *format, ...) _printf_(2, 3);
void warn(const Arguments *a, const char *format, ...) _printf_(2, 3);
