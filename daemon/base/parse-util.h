/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Strict parsers. Errors: -EINVAL for an empty text, leading or trailing blanks, signs and trailing characters,
 * -ERANGE for a number that does not fit. *ret is written only on success. */

#include <stdbool.h>
#include <stdint.h>

#include "base/macros.h"

int parse_u64(const char *s, unsigned base, uint64_t *ret); /* base 10 or 16; no 0x, no octal by leading zero */
int parse_u32(const char *s, unsigned base, uint32_t *ret);
int parse_u16(const char *s, unsigned base, uint16_t *ret);
int parse_i32(const char *s, int32_t *ret);  /* decimal, "-" allowed */
int parse_boolean(const char *s, bool *ret); /* yes/no, true/false, on/off, 1/0 */
int parse_bytes(const char *s,
                uint64_t *ret); /* "4096", "64K", "64KB", "128MB", "4096M", "4G": powers of 1024 */
int parse_resolution(const char *s, uint32_t *ret_x, uint32_t *ret_y); /* "1920x1200" */
int parse_seconds(const char *s, uint64_t *ret_usec);                  /* "120", "120s", "500ms", "2min" */

/* Order of two names, as by strcmp(), but runs of digits compare as numbers of any length. Leading zeros count
 * only when the names are equal otherwise. */
int compare_naturally(const char *a, const char *b);

/* True for a valid name of an instance: 1..64 characters of [A-Za-z0-9_.-], beginning with a letter or a digit,
 * and not a whole UUID. */
bool instance_name_is_valid(const char *name);
