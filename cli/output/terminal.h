/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What goes to the terminal: tables, JSON, values as people read them, and the one form in which errors are
 * told.
 *
 * JSON is written here and not by json-glib: vgpuctl only writes it, and json-glib brings GObject and GIO,
 * whose start-up takes longer than all the rest of a vgpuctl call. */

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "base/error.h"
#include "cli/arguments.h"
#include "cli/output/format.h"
#include "cli/output/json.h"

/* Terminal. */
bool output_is_terminal(void);           /* stdout */
bool remarks_wanted(const Arguments *a); /* stderr is a terminal, and neither -q nor --json was given */
unsigned terminal_columns(int fd);       /* its width; 0 when it is none */
/* Beginning and end of the program: flush stdout; a write that failed is an error, except that a reader who has
 * gone is none of our business and ends silently with status 1. */
void output_begin(void);
int output_finish(int status);

typedef enum Tone {
        TONE_PLAIN,
        TONE_HEAD,
        TONE_GOOD,
        TONE_DIM,
        TONE_WARN,
        TONE_BAD,
        _TONE_MAX,
} Tone;

/* The escape sequence that begins or ends a tone on stdout; "" when it is no terminal or NO_COLOR is set. */
const char *tone_begin(Tone tone);
const char *tone_end(Tone tone);

/* A line of text, indented; on a terminal it goes on in further lines, indented by four more, where it is too
 * long. `head` (may be NULL) is what it begins with, and stands out. */
void print_wrapped(unsigned indent, const char *head, const char *text);
/* The same with a plain head, and further lines indented by `hang`. */
void print_hanging(unsigned hang, const char *head, const char *text);

/* Errors: say it on stderr, as text or as one line of JSON, and return the exit status. */
int fail_named(const Arguments *a, const char *name, int status, const char *object, const char *hint,
               const char *message);
int fail(const Arguments *a, VgpudErrorCode code, const char *object, const char *format, ...) _printf_(4, 5);
int fail_usage(const Arguments *a, const char *format, ...) _printf_(2, 3);
/* The error object itself, for results that carry one. */
void json_error(Json *j, const char *key, const char *name, int status, const char *object, const char *hint,
                const char *message);
/* What can be done about it; NULL when there is nothing general to say. */
const char *error_hint(VgpudErrorCode code);

/* Something people should know, on stderr; programs are not told. */
void remark(const Arguments *a, const char *format, ...) _printf_(2, 3);
