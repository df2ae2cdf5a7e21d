/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "daemon/store/definition-json.h"

#include <json-glib/json-glib.h>
#include <string.h>

#include "base/text.h"
#include "drivers-glue/attribute.h"

#define FORMAT_VERSION 1
/* Version 1 needs three levels. A file of a newer version may need more, and must not count as damaged. */
#define DEPTH_MAX 16U

/* The members that are texts. */
static const struct {
        const char *name;
        size_t offset;
} json_texts[] = {
        { "type", offsetof(Definition, type) },     { "gpu", offsetof(Definition, gpu) },
        { "parent", offsetof(Definition, parent) }, { "pool", offsetof(Definition, pool) },
        { "name", offsetof(Definition, name) },
};

/* ---- write ---- */

static void json_add_attributes(JsonBuilder *builder, const GPtrArray *attributes)
{
        json_builder_set_member_name(builder, "attributes");
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

char *definition_to_json(const Definition *d, size_t *ret_size)
{
        g_autoptr(JsonBuilder) builder = json_builder_new();
        g_autoptr(JsonGenerator) generator = json_generator_new();

        json_builder_begin_object(builder);
        json_builder_set_member_name(builder, "version");
        json_builder_add_int_value(builder, FORMAT_VERSION);

        for (size_t i = 0; i < G_N_ELEMENTS(json_texts); i++) {
                const char *text = *(char *const *)G_STRUCT_MEMBER_P(d, json_texts[i].offset);

                if (!text)
                        continue;

                json_builder_set_member_name(builder, json_texts[i].name);
                json_builder_add_string_value(builder, text);
        }

        json_builder_set_member_name(builder, "owner");
        json_builder_add_int_value(builder, (gint64)d->owner);
        json_builder_set_member_name(builder, "created");
        json_builder_add_int_value(builder, (gint64)d->created_usec);
        if (d->autostart) {
                json_builder_set_member_name(builder, "autostart");
                json_builder_add_boolean_value(builder, TRUE);
        }

        if (d->attributes->len > 0)
                json_add_attributes(builder, d->attributes);
        json_builder_end_object(builder);

        g_autoptr(JsonNode) root = json_builder_get_root(builder);
        json_generator_set_root(generator, root);
        json_generator_set_pretty(generator, TRUE);

        g_autofree char *text = json_generator_to_data(generator, NULL);
        char *line = g_strconcat(text, "\n", NULL);
        *ret_size = strlen(line);

        return line;
}

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

/* Length of the number at s; 0: not valid. */
static size_t json_number_length(const char *s)
{
        static const char digits[] = "0123456789";
        size_t n = s[0] == '-', whole = strspn(s + n, digits), part;

        if (whole == 0 || (whole > 1 && s[n] == '0'))
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

static const char *json_get_text(JsonObject *object, const char *name)
{
        JsonNode *node = json_object_get_member(object, name);

        return node && json_node_get_value_type(node) == G_TYPE_STRING ? json_node_get_string(node) : NULL;
}

/* The integer, or -1 if the member is missing or is no integer from 0 to G_MAXINT64. */
static int64_t json_get_number(JsonObject *object, const char *name)
{
        JsonNode *node = json_object_get_member(object, name);

        return node && json_node_get_value_type(node) == G_TYPE_INT64 ? MAX(json_node_get_int(node), -1) : -1;
}

static int json_read_texts(JsonObject *object, Definition *d, guint *known, VgpudError *reterr)
{
        for (size_t i = 0; i < G_N_ELEMENTS(json_texts); i++) {
                const char *text = json_get_text(object, json_texts[i].name);

                if (!json_object_has_member(object, json_texts[i].name))
                        continue;
                if (!text)
                        return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID, "member \"%s\" is not a text",
                                                json_texts[i].name);

                *(char **)G_STRUCT_MEMBER_P(d, json_texts[i].offset) = g_strdup(text);
                (*known)++;
        }

        return 0;
}

static int json_read_numbers(JsonObject *object, Definition *d, guint *known, VgpudError *reterr)
{
        int64_t owner = json_get_number(object, "owner"), created = json_get_number(object, "created");

        if (owner < 0 || owner > UINT32_MAX)
                return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID, "member \"owner\" is not a user id");
        if (created < 0)
                return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID, "member \"created\" is not a time");

        d->owner = (uid_t)owner;
        d->created_usec = (uint64_t)created;
        *known += 2;

        return 0;
}

static int json_read_autostart(JsonObject *object, Definition *d, guint *known, VgpudError *reterr)
{
        JsonNode *node = json_object_get_member(object, "autostart");

        if (!node)
                return 0;
        if (json_node_get_value_type(node) != G_TYPE_BOOLEAN)
                return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID,
                                        "member \"autostart\" is neither true nor false");

        d->autostart = json_node_get_boolean(node);
        (*known)++;

        return 0;
}

static int json_read_attribute(JsonNode *node, Definition *d, VgpudError *reterr)
{
        JsonObject *object = JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
        const char *name = object ? json_get_text(object, "name") : NULL;
        const char *value = object ? json_get_text(object, "value") : NULL;

        if (!name || !value || json_object_get_size(object) != 2)
                return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID,
                                        "an attribute is not an object with \"name\" and \"value\"");

        g_ptr_array_add(d->attributes, vgpu_attribute_new(name, value));

        return 0;
}

static int json_read_attributes(JsonObject *object, Definition *d, guint *known, VgpudError *reterr)
{
        JsonNode *node = json_object_get_member(object, "attributes");
        JsonArray *array;
        int r = 0;

        if (!node)
                return 0;
        if (!JSON_NODE_HOLDS_ARRAY(node))
                return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID, "member \"attributes\" is not a list");

        array = json_node_get_array(node);
        for (guint i = 0; r >= 0 && i < json_array_get_length(array); i++)
                r = json_read_attribute(json_array_get_element(array, i), d, reterr);

        (*known)++;

        return r;
}

static int json_read_definition(JsonObject *object, guint members, Definition *d, VgpudError *reterr)
{
        int64_t version = json_get_number(object, "version");
        guint known = 1;
        int r;

        if (version > FORMAT_VERSION)
                return vgpud_error_setf(reterr, VGPUD_ERROR_UNSUPPORTED,
                                        "the format has version %" G_GINT64_FORMAT
                                        ", newer than this vgpud's %d",
                                        version, FORMAT_VERSION);
        if (version < FORMAT_VERSION)
                return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID, "member \"version\" is not %d",
                                        FORMAT_VERSION);

        r = json_read_texts(object, d, &known, reterr);
        if (r >= 0)
                r = json_read_numbers(object, d, &known, reterr);
        if (r >= 0)
                r = json_read_autostart(object, d, &known, reterr);
        if (r >= 0)
                r = json_read_attributes(object, d, &known, reterr);
        if (r < 0)
                return r;

        if (json_object_get_size(object) != known)
                return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID, "a member is unknown");
        if (members != known + 2 * d->attributes->len)
                return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID, "a member occurs twice");

        return definition_check(d, reterr);
}

static void on_json_member(JsonParser *parser, JsonObject *object, const char *name, gpointer userdata)
{
        guint *members = userdata;

        (*members)++;
}

int definition_from_json(const char *uuid, const char *text, size_t size, Definition **ret, VgpudError *reterr)
{
        _cleanup_definition_ Definition *d = definition_new(uuid);
        g_autoptr(JsonParser) parser = json_parser_new();
        g_autoptr(GError) error = NULL;
        JsonNode *root;
        guint members = 0;
        int r;

        g_assert(!text[size]);

        if (size > DEFINITION_JSON_MAX)
                return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID, "the file has more than %u bytes",
                                        DEFINITION_JSON_MAX);
        /* g_utf8_validate() rejects NUL bytes, too. */
        if (!g_utf8_validate(text, (gssize)size, NULL))
                return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID, "the file is not UTF-8");
        if (!json_form_is_valid(text))
                return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID,
                                        "the file is not JSON, or nested too deeply");

        /* json-glib keeps the last of two members of the same name; the count of members shows such a pair. */
        g_signal_connect(parser, "object-member", G_CALLBACK(on_json_member), &members);
        if (!json_parser_load_from_data(parser, text, (gssize)size, &error))
                return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID, "the file is not JSON: %s",
                                        TEXT_QUOTE(error->message));

        root = json_parser_get_root(parser);
        if (!root || !JSON_NODE_HOLDS_OBJECT(root))
                return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID, "the file is not an object of JSON");

        r = json_read_definition(json_node_get_object(root), members, d, reterr);
        if (r < 0)
                return r;

        *ret = g_steal_pointer(&d);

        return 0;
}
