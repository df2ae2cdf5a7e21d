/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Words that name a vGPU type. Tools print one name in several forms: "NVIDIA A2-4Q" (sysfs), "GRID_P40-1Q"
 * (device plugins), "nvidia.com/GRID_P40-1Q" (resources of Kubernetes), "NVIDIA-A2-4Q" (labels), "a2-4q". All
 * comparisons of such words are here. */

#include <stdbool.h>
#include <stddef.h>

#include "base/macros.h"

/* Two words are equal if they differ only in case, blanks, "_" and the name of a vendor at the beginning. A
 * word without any other character equals none. A number after a vendor's name is an id and not the rest of a
 * name: "nvidia-746" and "746" differ. */
bool type_word_equal(const char *a, const char *b);

/* The name without the vendor: "NVIDIA A2-4Q" -> "A2-4Q". Points into `name`. */
const char *type_word_skip_vendor(const char *name);

/* The number of typing errors (a character wrong, missing, added, or two exchanged) between two words that
 * type_word_equal() would compare; TYPE_WORD_FAR if there are too many for one to be meant by the other. A
 * `word` of two characters or more that `name` begins with counts as the largest distance that is not far. */
unsigned type_word_distance(const char *word, const char *name);
#define TYPE_WORD_FAR G_MAXUINT
