/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The text formats of NVIDIA's files in the folder nvidia/ of a virtual function, and the ids that are made of
 * them. */

#include <stdint.h>

#include "base/macros.h"

#define NVIDIA_LISTED_MAX 512 /* of one function; there are some 25 */

typedef struct NvidiaListed {
        uint32_t id; /* never 0 */
        char *name;  /* "NVIDIA L40S-4Q"; one line of UTF-8 */
} NvidiaListed;

/* creatable_vgpu_types: a line "1150  : NVIDIA L40S-4Q" for each type that can be made on the function now.
 * Other lines, as the header that most releases print, are left out, and so is an id that comes again.
 * NvidiaListed, owned. */
GPtrArray *nvidia_parse_creatable(const char *text);

/* current_vgpu_type: a decimal number, 0 for none; blanks around it are fine. */
int nvidia_parse_current(const char *text, uint32_t *ret);

/* "nvidia-1150", as the mdev back end calls the same type. Never 0. */
char *nvidia_type_id(uint32_t id);
int nvidia_type_id_parse(const char *type_id, uint32_t *ret);
