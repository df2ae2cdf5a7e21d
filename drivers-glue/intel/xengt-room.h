/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a GPU with XenGT has left: the text of /sys/kernel/vgt/control/available_resource, and how many vGPUs of
 * a size that is enough for. Low graphics memory (what the CPU can map, the aperture) and fences are given in
 * one piece each. High graphics memory comes in slots of 64 MB side by side, which all vGPUs share
 * (vgt/aperture_gm.c, vgt_find_hidden_gm_slots()): only the host keeps some for itself, and only that shows as
 * taken. So it decides how large one can be, not how many there can be. No I/O. */

#include <stdint.h>

#include "base/macros.h"

/* The driver keeps eight at most, the host's among them (three besides it on the oldest hardware). */
#define XENGT_INSTANCES_MAX 7

typedef struct XengtSize {
        uint32_t low_mb, high_mb, fences; /* low_mb and fences are never 0 */
} XengtSize;

typedef struct XengtRoom {
        /* Of each all and what is free: MB, MB, number. */
        uint32_t total_low, low, total_high, high, total_fences, fences;
        /* The most slots of high memory that one can have: in one piece, as far as it is known where they are.
         */
        uint32_t high_slots;
        /* Owned: uint32_t, what is free in one piece: MB, number. NULL: not known. */
        GArray *low_runs, *fence_runs;
} XengtRoom;

/* -EBADMSG when the six numbers are not there, or make no sense. Bitmaps that cannot be understood are not
 * known. */
int xengt_room_parse(const char *text, XengtRoom *ret);
void xengt_room_done(XengtRoom *room);

/* How many more of that size there is room for beside so many vGPUs. */
uint32_t xengt_room_count(const XengtRoom *room, const XengtSize *size, uint32_t n_instances);
/* Why there are no more, or none. */
char *xengt_room_explain(const XengtRoom *room, const XengtSize *size, uint32_t n_instances);
/* "384 of 512 MB of low graphics memory, … are left" */
void xengt_room_append(GString *text, const XengtRoom *room);
