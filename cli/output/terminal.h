/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* stdout as a terminal: width, colours, wrapped text; and the check at the end of the program that everything
 * was written to stdout. */

#include <stdbool.h>

bool output_is_terminal(void);     /* stdout */
unsigned terminal_columns(int fd); /* width; 0 when fd is no terminal */

/* The program calls each function once, output_begin() at its beginning and output_finish() at its end.
 * output_finish() flushes stdout and returns the exit status. A write that failed is an error; if the reader
 * closed the pipe, the error is silent. */
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

/* The escape sequence that begins or ends a tone on stdout. "" if stdout is no terminal, if NO_COLOR is set, or
 * if TERM is not set or is "dumb". */
const char *tone_begin(Tone tone);
const char *tone_end(Tone tone);

/* Prints a name on a line of its own, with unsafe characters replaced. */
void print_name(const char *name);

/* Prints an indented line of text. If stdout is a terminal, the function breaks the line between words, and
 * indents further lines by four more. `head` (may be NULL) comes first, highlighted. */
void print_wrapped(unsigned indent, const char *head, const char *text);

/* Like print_wrapped(), but the head is plain, and `hang` is the indent of further lines. */
void print_hanging(unsigned hang, const char *head, const char *text);
