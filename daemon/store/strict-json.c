/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "daemon/store/strict-json.h"

#include <string.h>

#include "base/text.h"
#include "drivers-glue/attribute.h"

/* The present formats need three levels. A file of a newer version may need more, and must not count as
 * damaged. */
#define DEPTH_MAX 16U

/* ---- form of the text ---- */

static int json_parse_hex4(const char *s)
{
        int value = 0;

        for (int i = 0; i < 4; i++) {
                int digit = g_ascii_xdigit_value(s[i]);

                if (digit < 0)
                        return -EINVAL;

                value = value * 16 + digit;
        }

        return value;
}

/* Length of the escape at s, which begins with a backslash; 0: not valid. \u0000 would end a text early, and
 * half of a surrogate pair would make json-glib abort. */
static size_t json_escape_length(const char *s)
{
        int unit, low;

        if (s[1] != 'u')
                return s[1] && strchr("\"\\/bfnrt", s[1]) ? 2 : 0;

        unit = json_parse_hex4(s + 2);
        if (unit <= 0 || (unit >= 0xdc00 && unit <= 0xdfff))
                return 0;
        if (unit < 0xd800 || unit > 0xdbff)
                return 6;

        low = s[6] == '\\' && s[7] == 'u' ? json_parse_hex4(s + 8) : -EINVAL;

        return low >= 0xdc00 && low <= 0xdfff ? 12 : 0;
}

/* Length of the string at s with its quotes; 0: not valid. */
static size_t json_string_length(const char *s)
{
        size_t n = 1;

        while (s[n] != '"') {
                size_t step = s[n] == '\\' ? json_escape_length(s + n) : (unsigned char)s[n] >= 0x20;

                if (step == 0)
                        return 0;

                n += step;
        }

        return n + 1;
}

/* Length of the number at s; 0: not valid. json-glib 1.10 reads a whole number above INT64_MAX as another
 * number, so no number may have more than 18 digits before the point. */
static size_t json_number_length(const char *s)
{
        static const char digits[] = "0123456789";
        size_t n = s[0] == '-', whole = strspn(s + n, digits), part;

        if (whole == 0 || whole > 18 || (whole > 1 && s[n] == '0'))
                return 0;

        n += whole;
        if (s[n] == '.') {
                part = strspn(s + n + 1, digits);
                if (part == 0)
                        return 0;
                n += 1 + part;
        }
        if (s[n] == 'e' || s[n] == 'E') {
                n += s[n + 1] == '+' || s[n + 1] == '-' ? 2 : 1;
                part = strspn(s + n, digits);
                if (part == 0)
                        return 0;
                n += part;
        }

        return n;
}

static size_t json_word_length(const char *s)
{
        static const char *const words[] = { "true", "false", "null" };

        for (size_t i = 0; i < G_N_ELEMENTS(words); i++)
                if (g_str_has_prefix(s, words[i]))
                        return strlen(words[i]);

        return 0;
}

static size_t json_token_length(const char *s)
{
        if (strchr("{}[]:,", *s))
                return 1;
        if (*s == '"')
                return json_string_length(s);

        return g_ascii_isalpha(*s) ? json_word_length(s) : json_number_length(s);
}

/* Reject what json-glib accepts beyond JSON: comments, assignments, octal numbers, text after the object. Limit
 * the depth, because version 1.6 recurses without a limit: 64 KiB of "[" need more than 6 MiB of stack. */
static bool json_form_is_valid(const char *text)
{
        unsigned depth = 0;
        bool ended = false;

        for (const char *c = text; *c;) {
                size_t length;

                if (strchr(" \t\r\n", *c)) {
                        c++;
                        continue;
                }

                length = json_token_length(c);
                if (length == 0 || ended || (depth == 0 && *c != '{'))
                        return false;

                if (*c == '{' || *c == '[')
                        depth++;
                else if (*c == '}' || *c == ']')
                        ended = --depth == 0;

                if (depth > DEPTH_MAX)
                        return false;

                c += length;
        }

        return ended;
}

/* ---- read ---- */

static void on_json_member(JsonParser *parser, JsonObject *object, const char *name, gpointer userdata)
{
        guint *members = userdata;

        (*members)++;
}

static int json_check_version(JsonObject *object, int known, VgpudError *reterr)
{
        int64_t version = strict_json_get_number(object, "version");

        if (version > known)
                return vgpud_error_setf(reterr, VGPUD_ERROR_UNSUPPORTED,
                                        "the format has version %" G_GINT64_FORMAT
                                        ", newer than this vgpud's %d",
                                        version, known);
        if (version < known)
                return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID, "member \"version\" is not %d", known);

        return 0;
}

int strict_json_read(StrictJson *j, const char *text, size_t size, size_t max_size, int version,
                     VgpudError *reterr)
{
        g_autoptr(GError) error = NULL;
        JsonNode *root;

        g_assert(!text[size]);
        g_assert(!j->parser);

        if (size > max_size)
                return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID, "the file has more than %zu bytes",
                                        max_size);
        /* g_utf8_validate() rejects NUL bytes, too. */
        if (!g_utf8_validate(text, (gssize)size, NULL))
                return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID, "the file is not UTF-8");
        if (!json_form_is_valid(text))
                return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID,
                                        "the file is not JSON, or nested too deeply");

        /* json-glib keeps the last of two members of the same name; the count of members shows such a pair. */
        j->parser = json_parser_new();
        g_signal_connect(j->parser, "object-member", G_CALLBACK(on_json_member), &j->members);
        if (!json_parser_load_from_data(j->parser, text, (gssize)size, &error))
                return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID, "the file is not JSON: %s",
                                        TEXT_QUOTE(error->message));

        root = json_parser_get_root(j->parser);
        if (!root || !JSON_NODE_HOLDS_OBJECT(root))
                return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID, "the file is not an object of JSON");

        j->object = json_node_get_object(root);

        return json_check_version(j->object, version, reterr);
}

void strict_json_done(StrictJson *j)
{
        g_clear_object(&j->parser);
        j->object = NULL;
}

int strict_json_check_members(const StrictJson *j, guint known, guint members, VgpudError *reterr)
{
        if (json_object_get_size(j->object) != known)
                return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID, "a member is unknown");
        if (j->members != members)
                return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID, "a member occurs twice");

        return 0;
}

const char *strict_json_get_text(JsonObject *object, const char *name)
{
        JsonNode *node = json_object_get_member(object, name);

        return node && json_node_get_value_type(node) == G_TYPE_STRING ? json_node_get_string(node) : NULL;
}

int64_t strict_json_get_number(JsonObject *object, const char *name)
{
        JsonNode *node = json_object_get_member(object, name);

        return node && json_node_get_value_type(node) == G_TYPE_INT64 ? MAX(json_node_get_int(node), -1) : -1;
}

static int json_get_attribute(JsonNode *node, const char *list, GPtrArray *attributes, VgpudError *reterr)
{
        JsonObject *object = JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
        const char *name = object ? strict_json_get_text(object, "name") : NULL;
        const char *value = object ? strict_json_get_text(object, "value") : NULL;

        if (!name || !value || json_object_get_size(object) != 2)
                return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID,
                                        "an element of \"%s\" is not an object with \"name\" and \"value\"",
                                        list);

        g_ptr_array_add(attributes, vgpu_attribute_new(name, value));

        return 0;
}

int strict_json_get_attributes(JsonObject *object, const char *name, GPtrArray *attributes, guint *known,
                               VgpudError *reterr)
{
        JsonNode *node = json_object_get_member(object, name);
        JsonArray *array;
        int r = 0;

        if (!node)
                return 0;
        if (!JSON_NODE_HOLDS_ARRAY(node))
                return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID, "member \"%s\" is not a list", name);

        array = json_node_get_array(node);
        for (guint i = 0; r >= 0 && i < json_array_get_length(array); i++)
                r = json_get_attribute(json_array_get_element(array, i), name, attributes, reterr);

        (*known)++;

        return r;
}

/* ---- write ---- */

void strict_json_add_attributes(JsonBuilder *builder, const char *name, const GPtrArray *attributes)
{
        json_builder_set_member_name(builder, name);
        json_builder_begin_array(builder);

        for (guint i = 0; i < attributes->len; i++) {
                const VgpuAttribute *a = attributes->pdata[i];

                json_builder_begin_object(builder);
                json_builder_set_member_name(builder, "name");
                json_builder_add_string_value(builder, a->name);
                json_builder_set_member_name(builder, "value");
                json_builder_add_string_value(builder, a->value);
                json_builder_end_object(builder);
        }

        json_builder_end_array(builder);
}

char *strict_json_write(JsonBuilder *builder, size_t *ret_size)
{
        g_autoptr(JsonGenerator) generator = json_generator_new();
        g_autoptr(JsonNode) root = json_builder_get_root(builder);

        json_generator_set_root(generator, root);
        json_generator_set_pretty(generator, TRUE);

        g_autofree char *text = json_generator_to_data(generator, NULL);
        char *line = g_strconcat(text, "\n", NULL);
        *ret_size = strlen(line);

        return line;
}
