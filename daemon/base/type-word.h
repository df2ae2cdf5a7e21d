/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Compares words that name a vGPU type. Tools print the name of a type in several forms: "NVIDIA A2-4Q"
 * (sysfs), "GRID_P40-1Q" (device plugins), "nvidia.com/GRID_P40-1Q" (resources of Kubernetes), "NVIDIA-A2-4Q"
 * (labels), "a2-4q". */

#include <stdbool.h>
#include <stddef.h>

#include "base/macros.h"

/* True if the words differ only in case, blanks, "_" and the name of a vendor at the beginning. A word of
 * blanks alone equals no word. A number after a vendor's name is an id and not the rest of a name: "nvidia-746"
 * and "746" differ. */
bool type_word_equal(const char *a, const char *b);

/* The name without the vendor: "NVIDIA A2-4Q" -> "A2-4Q". Points into `name`. */
const char *type_word_skip_vendor(const char *name);

/* The number of typing errors (a character wrong, missing, added, or two exchanged) that turn `name` into
 * `word`, both compared as by type_word_equal(); TYPE_WORD_FAR if `word` is probably not meant to be `name`. If
 * `name` begins with a `word` of two characters or more, the result is never TYPE_WORD_FAR. */
unsigned type_word_distance(const char *word, const char *name);
#define TYPE_WORD_FAR G_MAXUINT
