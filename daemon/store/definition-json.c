/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "daemon/store/definition-json.h"

#include "daemon/store/strict-json.h"

#define FORMAT_VERSION 1

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

char *definition_to_json(const Definition *d, size_t *ret_size)
{
        g_autoptr(JsonBuilder) builder = json_builder_new();

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
                strict_json_add_attributes(builder, "attributes", d->attributes);
        json_builder_end_object(builder);

        return strict_json_write(builder, ret_size);
}

/* ---- read ---- */

static int json_read_texts(JsonObject *object, Definition *d, guint *known, VgpudError *reterr)
{
        for (size_t i = 0; i < G_N_ELEMENTS(json_texts); i++) {
                const char *text = strict_json_get_text(object, json_texts[i].name);

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
        int64_t owner = strict_json_get_number(object, "owner"),
                created = strict_json_get_number(object, "created");

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

static int json_read_definition(const StrictJson *j, Definition *d, VgpudError *reterr)
{
        guint known = 1;
        int r;

        r = json_read_texts(j->object, d, &known, reterr);
        if (r >= 0)
                r = json_read_numbers(j->object, d, &known, reterr);
        if (r >= 0)
                r = json_read_autostart(j->object, d, &known, reterr);
        if (r >= 0)
                r = strict_json_get_attributes(j->object, "attributes", d->attributes, &known, reterr);
        if (r >= 0)
                r = strict_json_check_members(j, known, known + 2 * d->attributes->len, reterr);

        return r < 0 ? r : definition_check(d, reterr);
}

int definition_from_json(const char *uuid, const char *text, size_t size, Definition **ret, VgpudError *reterr)
{
        _cleanup_definition_ Definition *d = definition_new(uuid);
        _cleanup_strict_json_ StrictJson j = { 0 };
        int r;

        r = strict_json_read(&j, text, size, DEFINITION_JSON_MAX, FORMAT_VERSION, reterr);
        if (r >= 0)
                r = json_read_definition(&j, d, reterr);
        if (r < 0)
                return r;

        *ret = g_steal_pointer(&d);

        return 0;
}
