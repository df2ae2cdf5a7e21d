/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "cli/output/format.h"

#include <langinfo.h>
#include <locale.h>
#include <pwd.h>
#include <string.h>
#include <time.h>

/* The fast path for most texts: in printable ASCII, a byte is a character of width 1. */
static bool is_plain(const char *text)
{
        const unsigned char *p = (const unsigned char *)text;

        while (*p >= 0x20 && *p < 0x7f)
                p++;

        return !*p;
}

unsigned text_width(const char *text)
{
        unsigned width = 0;

        if (is_plain(text))
                return (unsigned)strlen(text);

        for (const char *p = text; *p; p = g_utf8_next_char(p)) {
                gunichar c = g_utf8_get_char(p);

                if (!g_unichar_iszerowidth(c))
                        width += g_unichar_iswide(c) ? 2 : 1;
        }

        return width;
}

char *text_fit(const char *text, unsigned columns)
{
        static const char *ellipsis;
        unsigned width = 0;
        const char *p;

        g_assert(columns > 0);

        if (text_width(text) <= columns)
                return g_strdup(text);

        if (!ellipsis) {
                (void)setlocale(LC_CTYPE, "");
                ellipsis = strcmp(nl_langinfo(CODESET), "UTF-8") == 0 ? "\u2026" : "~";
        }

        for (p = text; *p; p = g_utf8_next_char(p)) {
                gunichar c = g_utf8_get_char(p);
                unsigned w = g_unichar_iszerowidth(c) ? 0 : g_unichar_iswide(c) ? 2 : 1;

                if (width + w + 1 > columns)
                        break;

                width += w;
        }

        return g_strdup_printf("%.*s%s", (int)(p - text), text, ellipsis);
}

char *format_bytes(uint64_t bytes)
{
        static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB" };
        unsigned i = G_N_ELEMENTS(units) - 1;

        /* The largest unit that is exact with at most one decimal: "1.5 GiB", but "1216 MiB". */
        for (; i > 0; i--) {
                uint64_t unit = UINT64_C(1) << (10 * i), rest = bytes % unit;

                if (bytes >= unit && rest == 0)
                        return g_strdup_printf("%" G_GUINT64_FORMAT " %s", bytes / unit, units[i]);
                if (bytes >= unit && rest * 10 % unit == 0)
                        return g_strdup_printf("%" G_GUINT64_FORMAT ".%" G_GUINT64_FORMAT " %s", bytes / unit,
                                               rest * 10 / unit, units[i]);
        }

        return g_strdup_printf("%" G_GUINT64_FORMAT " B", bytes);
}

char *format_duration(uint64_t usec)
{
        uint64_t s = usec / USEC_PER_SEC;

        if (s < 120)
                return g_strdup_printf("%" G_GUINT64_FORMAT " s", s);
        if (s < 2 * 3600)
                return g_strdup_printf("%" G_GUINT64_FORMAT " min", s / 60);
        if (s < 48 * 3600)
                return g_strdup_printf("%" G_GUINT64_FORMAT " h", s / 3600);

        return g_strdup_printf("%" G_GUINT64_FORMAT " d", s / (24 * 3600));
}

uint64_t now_usec(void)
{
        struct timespec t;

        (void)clock_gettime(CLOCK_REALTIME, &t);

        return (uint64_t)t.tv_sec * USEC_PER_SEC + (uint64_t)t.tv_nsec / 1000;
}

char *format_age(uint64_t usec)
{
        uint64_t now = now_usec();

        return usec == 0 || usec > now ? NULL : format_duration(now - usec);
}

char *format_moment(uint64_t usec)
{
        time_t seconds = (time_t)(usec / USEC_PER_SEC);
        char text[64];
        struct tm tm;

        if (!localtime_r(&seconds, &tm) || strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm) == 0)
                return g_strdup_printf("%" G_GUINT64_FORMAT, usec);

        return g_strdup(text);
}

char *format_user(const Arguments *a, uint32_t uid)
{
        static GHashTable *names; /* cached, because the answer of a directory service can be slow */
        const char *name;

        if (uid == UINT32_MAX)
                return NULL;

        if (a->host) /* users of another host have other names */
                return g_strdup_printf("%" G_GUINT32_FORMAT, uid);

        if (uid == 0)
                return g_strdup("root");

        if (!names)
                names = g_hash_table_new_full(NULL, NULL, NULL, g_free);
        name = g_hash_table_lookup(names, GUINT_TO_POINTER(uid));
        if (!name) {
                const struct passwd *p = getpwuid(uid);
                char *fresh = p ? g_strdup(p->pw_name) : g_strdup_printf("%" G_GUINT32_FORMAT, uid);

                g_hash_table_insert(names, GUINT_TO_POINTER(uid), fresh);
                name = fresh;
        }

        return g_strdup(name);
}

bool character_is_safe(gunichar c)
{
        GUnicodeType type = g_unichar_type(c);

        /* G_UNICODE_CONTROL has C0, DEL and C1, whose U+009B begins an escape sequence. The characters of
         * G_UNICODE_FORMAT change the direction of the text, or are invisible. */
        return type != G_UNICODE_CONTROL && type != G_UNICODE_FORMAT && type != G_UNICODE_LINE_SEPARATOR &&
               type != G_UNICODE_PARAGRAPH_SEPARATOR;
}

char *format_printable(const char *text)
{
        g_autofree char *valid = NULL;
        GString *s;

        if (is_plain(text))
                return g_strdup(text);

        s = g_string_new(NULL);
        valid = g_utf8_make_valid(text, -1);

        for (const char *p = valid; *p; p = g_utf8_next_char(p)) {
                gunichar c = g_utf8_get_char(p);

                g_string_append_unichar(s, character_is_safe(c) ? c : '?');
        }

        return g_string_free(s, false);
}

char *format_number(int64_t value)
{
        return value < 0 ? NULL : g_strdup_printf("%" G_GINT64_FORMAT, value);
}
