/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "drivers-glue/intel/xengt-room.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/parse-util.h"

#define HIGH_SLOT_MB 64

void xengt_room_done(XengtRoom *room)
{
        g_clear_pointer(&room->low_runs, g_array_unref);
        g_clear_pointer(&room->fence_runs, g_array_unref);
}

/* Parse "0x00000200, 0x00000180, …". */
static int xengt_room_parse_counts(const char *line, XengtRoom *room)
{
        g_auto(GStrv) words = g_strsplit(line, ",", -1);
        uint32_t *const into[] = { &room->total_low, &room->low,          &room->total_high,
                                   &room->high,      &room->total_fences, &room->fences };
        int r;

        if (g_strv_length(words) != G_N_ELEMENTS(into))
                return -EBADMSG;

        for (size_t i = 0; i < G_N_ELEMENTS(into); i++) {
                const char *word = g_strstrip(words[i]);

                r = parse_u32(g_str_has_prefix(word, "0x") ? word + strlen("0x") : word, 16, into[i]);
                if (r < 0)
                        return -EBADMSG;
        }

        return room->low <= room->total_low && room->high <= room->total_high &&
                                               room->fences <= room->total_fences
                               ? 0
                               : -EBADMSG;
}

/* Parse a bitmap as the kernel prints it: words of 32 bits in hexadecimal, the highest first. NULL if a word is
 * invalid or the bitmap has less than n bits. */
static GArray *xengt_room_parse_bitmap(const char *line, uint64_t n)
{
        g_auto(GStrv) words = g_strsplit(line ? line : "", ",", -1);
        g_autoptr(GArray) bitmap = g_array_new(false, false, sizeof(uint32_t));

        for (size_t i = g_strv_length(words); i > 0; i--) {
                uint32_t word;

                if (parse_u32(g_strstrip(words[i - 1]), 16, &word) < 0)
                        return NULL;

                g_array_append_val(bitmap, word);
        }

        return n > 0 && n <= (uint64_t)bitmap->len * 32 ? g_steal_pointer(&bitmap) : NULL;
}

static bool xengt_room_is_free(const GArray *bitmap, uint32_t first, uint32_t n)
{
        for (uint32_t bit = first; bit < first + n; bit++)
                if (g_array_index(bitmap, uint32_t, bit / 32) >> bit % 32 & 1)
                        return false;

        return true;
}

/* Find the free runs among n bits from `first` on, counted in pieces of `step` bits. */
static GArray *xengt_room_find_runs(const GArray *bitmap, uint32_t first, uint32_t n, uint32_t step)
{
        GArray *runs = g_array_new(false, false, sizeof(uint32_t));
        uint32_t run = 0;

        g_assert(step > 0);

        for (uint32_t i = 0; i < n / step; i++) {
                if (xengt_room_is_free(bitmap, first + i * step, step)) {
                        run++;
                        continue;
                }

                if (run > 0)
                        g_array_append_val(runs, run);
                run = 0;
        }

        if (run > 0)
                g_array_append_val(runs, run);

        return runs;
}

static uint32_t xengt_room_find_longest(const GArray *bitmap, uint32_t first, uint32_t n, uint32_t step)
{
        g_autoptr(GArray) runs = xengt_room_find_runs(bitmap, first, n, step);
        uint32_t longest = 0;

        for (guint i = 0; i < runs->len; i++)
                longest = MAX(longest, g_array_index(runs, uint32_t, i));

        return longest;
}

int xengt_room_parse(const char *text, XengtRoom *ret)
{
        g_autoptr(GArray) memory = NULL, fences = NULL;
        g_auto(GStrv) lines = g_strsplit(text, "\n", 4);
        guint n = g_strv_length(lines);
        int r;

        *ret = (XengtRoom){ 0 };

        r = n > 0 ? xengt_room_parse_counts(lines[0], ret) : -EBADMSG;
        if (r < 0)
                return r;

        ret->high_slots = ret->high / HIGH_SLOT_MB;
        memory = xengt_room_parse_bitmap(n > 1 ? lines[1] : NULL, (uint64_t)ret->total_low + ret->total_high);
        fences = xengt_room_parse_bitmap(n > 2 ? lines[2] : NULL, ret->total_fences);

        if (memory) {
                ret->low_runs = xengt_room_find_runs(memory, 0, ret->total_low, 1);
                ret->high_slots =
                                xengt_room_find_longest(memory, ret->total_low, ret->total_high, HIGH_SLOT_MB);
        }

        if (fences)
                ret->fence_runs = xengt_room_find_runs(fences, 0, ret->total_fences, 1);

        return 0;
}

static uint32_t xengt_room_count_pieces(const GArray *runs, uint32_t free_ones, uint32_t size)
{
        uint32_t n = 0;

        g_assert(size > 0);

        if (!runs)
                return free_ones / size;

        for (guint i = 0; i < runs->len; i++)
                n += g_array_index(runs, uint32_t, i) / size;

        return n;
}

static uint32_t xengt_room_to_slots(uint32_t high_mb)
{
        return (high_mb + HIGH_SLOT_MB - 1) / HIGH_SLOT_MB;
}

uint32_t xengt_room_count(const XengtRoom *room, const XengtSize *size, uint32_t n_instances)
{
        uint32_t n = n_instances < XENGT_INSTANCES_MAX ? XENGT_INSTANCES_MAX - n_instances : 0;

        if (xengt_room_to_slots(size->high_mb) > room->high_slots)
                return 0;

        n = MIN(n, xengt_room_count_pieces(room->low_runs, room->low, size->low_mb));

        return MIN(n, xengt_room_count_pieces(room->fence_runs, room->fences, size->fences));
}

void xengt_room_append(GString *text, const XengtRoom *room)
{
        g_string_append_printf(text,
                               "%" PRIu32 " of %" PRIu32 " MB of low graphics memory and %" PRIu32
                               " of %" PRIu32 " fences are left, and %" PRIu32 " of %" PRIu32
                               " MB of high graphics memory are a pool that all vGPUs share",
                               room->low, room->total_low, room->fences, room->total_fences, room->high,
                               room->total_high);
}

char *xengt_room_explain(const XengtRoom *room, const XengtSize *size, uint32_t n_instances)
{
        GString *text = g_string_new(NULL);

        if (n_instances + xengt_room_count(room, size, n_instances) >= XENGT_INSTANCES_MAX)
                g_string_append_printf(text, "the driver supports %d vGPUs at most", XENGT_INSTANCES_MAX);
        else {
                g_string_append_printf(
                                text,
                                "a vGPU takes %" PRIu32 " MB of low graphics memory, %" PRIu32
                                " MB of high graphics memory and %" PRIu32 " fences, each in one piece; ",
                                size->low_mb, xengt_room_to_slots(size->high_mb) * HIGH_SLOT_MB, size->fences);
                xengt_room_append(text, room);
        }

        return g_string_free(text, FALSE);
}
