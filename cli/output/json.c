/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "cli/output/json.h"

#include "cli/output/format.h"

Json json_new(bool compact)
{
        return (Json){ .text = g_string_new(NULL), .compact = compact };
}

/* JSON writes a character above U+FFFF as a surrogate pair. */
static void json_escape(GString *s, gunichar c)
{
        if (c > 0xffff)
                g_string_append_printf(s, "\\u%04x\\u%04x", 0xd7c0 + (c >> 10), 0xdc00 + (c & 0x3ff));
        else
                g_string_append_printf(s, "\\u%04x", c);
}

/* Escape control characters of terminals as well, because the output may go to a terminal. `value` is UTF-8. */
static void json_quote(GString *s, const char *value)
{
        g_string_append_c(s, '"');
        for (const char *p = value; *p; p = g_utf8_next_char(p)) {
                unsigned char byte = (unsigned char)*p;
                gunichar c = byte < 0x80 ? byte : g_utf8_get_char(p);

                if (c == '"' || c == '\\')
                        g_string_append_printf(s, "\\%c", (char)c);
                else if (c == '\n')
                        g_string_append(s, "\\n");
                else if (c == '\t')
                        g_string_append(s, "\\t");
                else if (c < 0x20 || (c >= 0x7f && !character_is_safe(c)))
                        json_escape(s, c);
                else if (c < 0x80)
                        g_string_append_c(s, (char)c);
                else
                        g_string_append_unichar(s, c);
        }

        g_string_append_c(s, '"');
}

static void json_break(Json *j)
{
        if (j->compact)
                return;

        g_string_append_c(j->text, '\n');
        for (unsigned i = 0; i < j->depth; i++)
                g_string_append(j->text, "  ");
}

static void json_key(Json *j, const char *key)
{
        if (j->more)
                g_string_append_c(j->text, ',');
        if (j->depth > 0)
                json_break(j);
        j->more = true;
        if (!key)
                return;

        json_quote(j->text, key);
        g_string_append(j->text, j->compact ? ":" : ": ");
}

static void json_open(Json *j, const char *key, char bracket)
{
        json_key(j, key);
        g_string_append_c(j->text, bracket);
        j->depth++;
        j->more = false;
}

static void json_close(Json *j, char bracket)
{
        bool empty = !j->more;

        g_assert(j->depth > 0);

        j->depth--;

        if (!empty)
                json_break(j);
        g_string_append_c(j->text, bracket);
        j->more = true;
}

void json_object(Json *j, const char *key)
{
        json_open(j, key, '{');
}

void json_object_end(Json *j)
{
        g_assert(j->depth > 0);

        json_close(j, '}');
}

void json_array(Json *j, const char *key)
{
        json_open(j, key, '[');
}

void json_array_end(Json *j)
{
        g_assert(j->depth > 0);

        json_close(j, ']');
}

void json_string(Json *j, const char *key, const char *value)
{
        g_autofree char *valid = NULL;

        if (!value) {
                json_null(j, key);
                return;
        }

        json_key(j, key);
        if (!g_utf8_validate(value, -1, NULL)) /* an error quotes a word that is not UTF-8 */
                value = valid = g_utf8_make_valid(value, -1);
        json_quote(j->text, value);
}

void json_u64(Json *j, const char *key, uint64_t value)
{
        json_key(j, key);
        g_string_append_printf(j->text, "%" G_GUINT64_FORMAT, value);
}

void json_u64_or_null(Json *j, const char *key, uint64_t value)
{
        if (value == 0)
                json_null(j, key);
        else
                json_u64(j, key, value);
}

void json_i64(Json *j, const char *key, int64_t value)
{
        json_key(j, key);
        g_string_append_printf(j->text, "%" G_GINT64_FORMAT, value);
}

void json_bool(Json *j, const char *key, bool value)
{
        json_key(j, key);
        g_string_append(j->text, value ? "true" : "false");
}

void json_null(Json *j, const char *key)
{
        json_key(j, key);
        g_string_append(j->text, "null");
}

void json_print(Json *j, FILE *f)
{
        g_assert(j->depth == 0);

        g_string_append_c(j->text, '\n');
        (void)fwrite(j->text->str, 1, j->text->len, f);
        g_string_free(j->text, true);
        *j = (Json){ 0 };
}
