/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "drivers-glue/mdev/parse.h"

#include <string.h>

#include "base/parse-util.h"

/* Parses an item with a value, such as "low_gm_size: 128MB" or "num_heads=4". */
static void mdev_parse_item(VgpuType *t, const char *key, const char *value)
{
        if (strcmp(key, "low_gm_size") == 0)
                (void)parse_bytes(value, &t->low_gm_bytes);
        else if (strcmp(key, "high_gm_size") == 0)
                (void)parse_bytes(value, &t->high_gm_bytes);
        else if (strcmp(key, "fence") == 0)
                (void)parse_u32(value, 10, &t->fences);
        else if (strcmp(key, "weight") == 0)
                (void)parse_u32(value, 10, &t->weight);
        else if (strcmp(key, "resolution") == 0 || strcmp(key, "max_resolution") == 0)
                (void)parse_resolution(value, &t->max_x, &t->max_y);
        else if (strcmp(key, "num_heads") == 0)
                (void)parse_u32(value, 10, &t->heads);
        else if (strcmp(key, "frl_config") == 0)
                (void)parse_u32(value, 10, &t->frame_rate_limit);
        else if (strcmp(key, "framebuffer") == 0)
                (void)parse_bytes(value, &t->framebuffer_bytes);
        else if (strcmp(key, "max_instance") == 0)
                (void)parse_u32(value, 10, &t->max_instances);
}

/* Parses an item without a value, such as "virtual display", "640x480 framebuffer" or "4 MB video memory". */
static void mdev_parse_phrase(VgpuType *t, char *text)
{
        if (strcmp(text, "virtual display") == 0) {
                t->heads = 1;
                return;
        }

        if (g_str_has_suffix(text, " framebuffer")) {
                *strrchr(text, ' ') = 0;
                (void)parse_resolution(text, &t->max_x, &t->max_y);
        } else if (g_str_has_suffix(text, " video memory")) {
                text[strlen(text) - strlen(" video memory")] = 0;
                char *space = strchr(text, ' ');
                if (space)
                        memmove(space, space + 1, strlen(space + 1) + 1);
                (void)parse_bytes(text, &t->framebuffer_bytes);
        }
}

void mdev_parse_description(const char *text, VgpuType *t)
{
        g_auto(GStrv) items = g_strsplit_set(text ? text : "", "\n,", -1);

        for (char **i = items; *i; i++) {
                size_t n = strcspn(*i, ":=");

                if ((*i)[n]) {
                        (*i)[n] = 0;
                        mdev_parse_item(t, g_strstrip(*i), g_strstrip(*i + n + 1));
                } else
                        mdev_parse_phrase(t, g_strstrip(*i));
        }

        /* Intel's description has the two parts of the memory, not their sum. */
        if (t->framebuffer_bytes == 0 && t->low_gm_bytes <= UINT64_MAX - t->high_gm_bytes)
                t->framebuffer_bytes = t->low_gm_bytes + t->high_gm_bytes;
}
