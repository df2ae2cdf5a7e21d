/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "base/text.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define TEXT_ELLIPSIS "…"

/* True for bidirectional controls (isolates, embeddings, overrides, marks), line separators, and characters of
 * no width, which are invisible in a name. */
static bool text_is_deceptive(gunichar c)
{
        return c == 0x061c || c == 0x180e || (c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
               (c >= 0x2060 && c <= 0x206f) || c == 0xfeff || (c >= 0xfff9 && c <= 0xfffb) ||
               (c >= 0xe0000 && c <= 0xe007f);
}

static bool text_is_plain(gunichar c)
{
        return c >= 0x20 && (c < 0x7f || c > 0x9f) && !text_is_deceptive(c);
}

/* Write the first character of the text to `ret`, escaped if necessary, in at most 10 bytes. Returns the number
 * of bytes that this character has in `text`. */
static size_t text_next(const char *text, char ret[static 11])
{
        gunichar c = g_utf8_get_char_validated(text, -1);
        size_t n;

        if (c == (gunichar)-1 || c == (gunichar)-2) {
                (void)snprintf(ret, 11, "\\x%02x", (unsigned char)text[0]);
                return 1;
        }

        n = (size_t)(g_utf8_next_char(text) - text);
        if (text_is_plain(c)) {
                memcpy(ret, text, n);
                ret[n] = '\0';
        } else if (c == '\n' || c == '\t')
                (void)snprintf(ret, 11, "%s", c == '\n' ? "\\n" : "\\t");
        else if (c < 0x100)
                (void)snprintf(ret, 11, "\\x%02x", c);
        else
                (void)snprintf(ret, 11, c < 0x10000 ? "\\u%04x" : "\\U%08x", c);

        return n;
}

const char *text_quote(const char *text, size_t max, char *buffer, size_t size)
{
        size_t used = 0;

        g_assert(size > sizeof TEXT_ELLIPSIS);

        for (size_t i = 0; text && *text; i++) {
                char shown[11];
                size_t n = text_next(text, shown), k = strlen(shown);

                if (i == max || used + k + sizeof TEXT_ELLIPSIS > size) {
                        memcpy(buffer + used, TEXT_ELLIPSIS, sizeof TEXT_ELLIPSIS);
                        return buffer;
                }

                memcpy(buffer + used, shown, k);
                used += k;
                text += n;
        }

        buffer[used] = '\0';

        return buffer;
}

static bool text_is_ascii(const char *text)
{
        for (; *text; text++)
                if (*text < 0x20 || *text > 0x7e)
                        return false;

        return true;
}

char *text_clean(char *text, size_t max)
{
        GString *s;

        g_assert(max > sizeof TEXT_ELLIPSIS);

        /* Nearly all messages need no change. */
        if (strnlen(text, max + 1) <= max && text_is_ascii(text))
                return text;

        s = g_string_new(NULL);
        for (const char *p = text; *p;) {
                char shown[11];

                p += text_next(p, shown);
                g_string_append(s, shown);

                if (s->len > max) {
                        size_t end = max - strlen(TEXT_ELLIPSIS);

                        while (end > 0 && ((unsigned char)s->str[end] & 0xc0) == 0x80)
                                end--;
                        g_string_truncate(s, end);
                        g_string_append(s, TEXT_ELLIPSIS);
                        break;
                }
        }

        g_free(text);

        return g_string_free(s, false);
}
