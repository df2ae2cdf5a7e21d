/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Errors and remarks on stderr: as text, or with --json as one line of JSON. */

#include "base/error.h"
#include "cli/arguments.h"
#include "cli/output/json.h"

/* Print an error and return its exit status. */
int fail_named(const Arguments *a, const char *name, int status, const char *object, const char *hint,
               const char *message);
int fail(const Arguments *a, VgpudErrorCode code, const char *object, const char *format, ...) _printf_(4, 5);
int fail_usage(const Arguments *a, const char *format, ...) _printf_(2, 3);

/* Writes the object of an error, for results that carry one. */
void json_error(Json *j, const char *key, const char *name, int status, const char *object, const char *hint,
                const char *message);

/* General advice for an error; NULL if there is none. */
const char *error_hint(VgpudErrorCode code);

/* Remarks are for people alone: printed if stderr is a terminal, without -q and --json. */
bool remarks_wanted(const Arguments *a);
void remark(const Arguments *a, const char *format, ...) _printf_(2, 3);
