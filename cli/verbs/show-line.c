/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "cli/verbs/show-line.h"

#include <stdio.h>

#include "base/parse-util.h"
#include "cli/host/report.h"
#include "cli/output/format.h"

void show_line(const char *key, char *value, Tone tone)
{
        if (value && *value) {
                g_autofree char *printable = format_printable(value);

                (void)printf("%14s%c %s%s%s\n", key, *key ? ':' : ' ', tone_begin(tone), printable,
                             tone_end(tone));
        }

        g_free(value);
}

void show_line_copy(const char *key, const char *value)
{
        show_line(key, g_strdup(value), TONE_PLAIN);
}

void show_line_text(const char *key, const char *text)
{
        g_autofree char *head = g_strdup_printf("%14s:", key);

        if (*text)
                print_hanging(16, head, text);
}

void show_line_number(const char *key, int64_t value)
{
        show_line(key, format_number(value), TONE_PLAIN);
}

void show_line_moment(const char *key, uint64_t usec)
{
        g_autofree char *moment = NULL, *age = NULL;

        if (usec == 0)
                return;

        moment = format_moment(usec);
        age = format_age(usec);
        show_line(key,
                  age ? g_strdup_printf("%s (%s ago)", moment, age)
                      : g_strdup_printf("%s (in the future)", moment),
                  TONE_PLAIN);
}

char *show_user_text(const Arguments *a, uint32_t uid)
{
        g_autofree char *name = format_user(a, uid);

        if (!name)
                return NULL;

        if (a->host)
                return g_strdup_printf("user %s", name);

        return g_strdup_printf("%s (user %" G_GUINT32_FORMAT ")", name, uid);
}

char *show_owner_text(const Arguments *a, const char *owner)
{
        uint32_t uid;

        if (*owner && parse_u32(owner, 10, &uid) >= 0)
                return show_user_text(a, uid);

        return owner_text(a, owner);
}

void show_line_attributes(const GPtrArray *attributes)
{
        for (unsigned n = 0; n < attributes->len; n++) {
                const PairInfo *attribute = attributes->pdata[n];

                show_line(n == 0 ? "Options" : "", g_strdup_printf("%s = %s", attribute->name, attribute->text),
                          TONE_PLAIN);
        }
}
