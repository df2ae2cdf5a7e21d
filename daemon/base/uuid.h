/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* UUIDs as text: 36 characters 8-4-4-4-12, lower case, as the kernel names mediated devices. */

#include <stdbool.h>

#include "base/macros.h"

#define UUID_STRLEN 36

/* True for exactly 8-4-4-4-12 hexadecimal digits of any case. */
bool uuid_is_valid(const char *s);

/* True for 00000000-0000-0000-0000-000000000000, which many programs use for "none": no object may have it. */
bool uuid_is_nil(const char *s);

/* Copy the UUID to buf in lower case. -EINVAL: `s` is not a valid UUID. */
int uuid_normalize(const char *s, char buf[static UUID_STRLEN + 1]);

/* A random UUID (version 4). */
const char *uuid_generate(char buf[static UUID_STRLEN + 1]);

/* A name-based UUID (version 8, SHA-256): equal texts give equal UUIDs, on every host. */
const char *uuid_derive(const char *text, char buf[static UUID_STRLEN + 1]);

/* True if `s` may be the beginning of a UUID: 1 to 36 characters, hexadecimal digits with "-" where a UUID has
 * "-".
 */
bool uuid_prefix_is_valid(const char *s);
