/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Finds the type that a word of a caller names. An exact id wins; then an exact alias or key; then an id, alias
 * or key in another form (base/type-word.h). */

#include "base/error.h"
#include "drivers-glue/snapshot.h"

/* Aliases of a type: the readable name, its last word ("A2-4Q"), the id without its prefix ("GVTg_V5_4").
 * Plain numbers are left out: "create 1" is a typing error. NULL-terminated, without duplicates and without the
 * id; never NULL. */
char **vgpu_type_aliases(const VgpuType *t);

/* The type that the word names. NULL with *reterr NO_SUCH_TYPE or AMBIGUOUS; the hint names types. */
const VgpuType *gpu_snapshot_find_type(const GpuSnapshot *s, const char *word, VgpudError *reterr);

/* gpu_snapshot_find_type() without an error if no type fits, because hints take time in a search of many GPUs.
 * AMBIGUOUS is still reported. */
const VgpuType *gpu_snapshot_look_up_type(const GpuSnapshot *s, const char *word, VgpudError *reterr);

/* Set the hint of an error about an unknown type: the types (VgpuType) whose names are nearest to the word,
 * else the first types of the list. No hint if the list is empty. */
void vgpu_types_suggest(const GPtrArray *types, const char *word, VgpudError *reterr);
/* Limit of types in this hint. */
#define VGPU_TYPES_SUGGESTED_MAX 5U
