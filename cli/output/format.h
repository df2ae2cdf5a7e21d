/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Values as text for people. All functions that return char * return new text. */

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/macros.h"
#include "cli/arguments.h"

char *format_bytes(uint64_t bytes);                  /* "4 GiB" */
char *format_duration(uint64_t usec);                /* "12 s", "3 min", "5 h", "4 d" */
char *format_age(uint64_t usec);                     /* time from `usec` to now; NULL for 0 and the future */
char *format_moment(uint64_t usec);                  /* "2026-01-31 18:03:04" */
char *format_user(const Arguments *a, uint32_t uid); /* name of a user of this host; NULL for UINT32_MAX */
char *format_number(int64_t value);                  /* NULL for a negative number, which means unknown */

/* False if the character controls a terminal or changes the order of the text on it. */
bool character_is_safe(gunichar c);
/* Replaces unsafe characters with "?". Texts of drivers, of other users and of other hosts must not steer the
 * terminal. */
char *format_printable(const char *text);

/* Width of a text in columns of a terminal, and the text cut to a width. */
unsigned text_width(const char *text);
char *text_fit(const char *text, unsigned columns);

uint64_t now_usec(void); /* CLOCK_REALTIME */
