/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The resources that a GPU with XenGT has left, parsed from /sys/kernel/vgt/control/available_resource, and the
 * number of vGPUs of a size that fit. No I/O.
 *
 * Low graphics memory (the aperture, which the CPU can map) and fences are allocated in one piece. High
 * graphics memory comes in adjacent slots of 64 MB, which all vGPUs share (vgt/aperture_gm.c,
 * vgt_find_hidden_gm_slots()); only the slots of the host show as taken. High memory thus limits the size of a
 * vGPU, not the number. */

#include <stdint.h>

#include "base/macros.h"

/* The driver supports eight vGPUs at most, including that of the host (on the oldest hardware four). */
#define XENGT_INSTANCES_MAX 7

typedef struct XengtSize {
        uint32_t low_mb, high_mb, fences; /* low_mb and fences are never 0 */
} XengtSize;

typedef struct XengtRoom {
        /* Total and free amounts: memory in MB, fences as a number. */
        uint32_t total_low, low, total_high, high, total_fences, fences;
        /* Slots of high memory that a vGPU can have: the longest run, if the bitmap is known. */
        uint32_t high_slots;
        /* Owned: lengths of the free runs (uint32_t), of low memory in MB, of fences as a number. NULL:
         * unknown. */
        GArray *low_runs, *fence_runs;
} XengtRoom;

/* Parse the text. -EBADMSG if the six numbers are missing or contradictory. Invalid bitmaps are ignored. */
int xengt_room_parse(const char *text, XengtRoom *ret);
void xengt_room_done(XengtRoom *room);

/* Count how many more vGPUs of this size fit beside n_instances vGPUs. */
uint32_t xengt_room_count(const XengtRoom *room, const XengtSize *size, uint32_t n_instances);
/* Explain why no more vGPUs fit: a clause. */
char *xengt_room_explain(const XengtRoom *room, const XengtSize *size, uint32_t n_instances);
/* Append "384 of 512 MB of low graphics memory, … are left". */
void xengt_room_append(GString *text, const XengtRoom *room);
