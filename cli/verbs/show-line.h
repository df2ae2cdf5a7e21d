/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The lines of show: "      Key: value". An empty key continues the line before. A value that is NULL or empty
 * is left out. */

#include "cli/arguments.h"
#include "cli/host/host.h"
#include "cli/output/terminal.h"

void show_line(const char *key, char *value, Tone tone); /* frees the value */
void show_line_copy(const char *key, const char *value);
void show_line_text(const char *key, const char *text); /* a sentence; on a terminal, broken between words */
void show_line_number(const char *key, int64_t value);
void show_line_moment(const char *key, uint64_t usec);
void show_line_attributes(const GPtrArray *attributes); /* PairInfo */

/* "root (user 0)"; new text, NULL if unknown. */
char *show_user_text(const Arguments *a, uint32_t uid);
char *show_owner_text(const Arguments *a, const char *owner);
