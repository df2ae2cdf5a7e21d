/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "daemon/store/definition.h"

#include <string.h>

#include "base/parse-util.h"
#include "base/text.h"
#include "drivers-glue/attribute.h"
#include "drivers-glue/io/io.h"

#define POOL_BYTES_MAX 255U

DEFINE_DESTROY_NOTIFY(definition_free_attribute, vgpu_attribute_free)

Definition *definition_new(const char *uuid)
{
        Definition *d = g_new0(Definition, 1);

        g_assert(uuid_is_valid(uuid));

        assert_se(uuid_normalize(uuid, d->uuid) >= 0);
        d->attributes = g_ptr_array_new_with_free_func(definition_free_attribute);

        return d;
}

Definition *definition_copy(const Definition *d)
{
        Definition *copy = definition_new(d->uuid);

        copy->type = g_strdup(d->type);
        copy->gpu = g_strdup(d->gpu);
        copy->parent = g_strdup(d->parent);
        copy->pool = g_strdup(d->pool);
        copy->name = g_strdup(d->name);
        copy->owner = d->owner;
        copy->created_usec = d->created_usec;
        copy->autostart = d->autostart;

        for (guint i = 0; i < d->attributes->len; i++) {
                const VgpuAttribute *a = d->attributes->pdata[i];

                g_ptr_array_add(copy->attributes, vgpu_attribute_new(a->name, a->value));
        }

        return copy;
}

void definition_free(void *d)
{
        Definition *definition = d;

        if (!definition)
                return;

        g_free(definition->type);
        g_free(definition->gpu);
        g_free(definition->parent);
        g_free(definition->pool);
        g_free(definition->name);
        g_ptr_array_unref(definition->attributes);
        g_free(definition);
}

bool definition_type_is_key(const char *type)
{
        g_auto(GStrv) parts = NULL;

        if (!vgpu_attribute_value_is_valid(type))
                return false;

        parts = g_strsplit(type, "/", -1);
        if (g_strv_length(parts) != 5)
                return false;

        for (char **part = parts; *part; part++)
                if (!**part || strchr(*part, ' '))
                        return false;

        return strcmp(parts[0], "-") == 0 ||
               (strlen(parts[0]) == 4 && strspn(parts[0], "0123456789abcdef") == 4);
}

static int definition_check_attributes(const Definition *d, VgpudError *reterr)
{
        size_t bytes = 0;

        if (d->attributes->len > DEFINITION_ATTRIBUTES_MAX)
                return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID,
                                        "a definition cannot have more than %u attributes",
                                        DEFINITION_ATTRIBUTES_MAX);

        for (guint i = 0; i < d->attributes->len; i++) {
                const VgpuAttribute *a = d->attributes->pdata[i];

                bytes += strlen(a->name) + strlen(a->value);
        }

        if (bytes > DEFINITION_ATTRIBUTE_BYTES_MAX)
                return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID,
                                        "the attributes of a definition cannot have more than %u bytes",
                                        DEFINITION_ATTRIBUTE_BYTES_MAX);

        return vgpu_attributes_check(d->attributes, reterr);
}

int definition_check(const Definition *d, VgpudError *reterr)
{
        if (uuid_is_nil(d->uuid))
                return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID,
                                        "the UUID of a definition cannot be all zeros");
        if (!definition_type_is_key(d->type))
                return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID, "\"%s\" is not the key of a type",
                                        TEXT_QUOTE(d->type));
        if (d->gpu && !vgpu_io_name_is_valid(d->gpu))
                return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID, "\"%s\" is not the name of a GPU",
                                        TEXT_QUOTE(d->gpu));
        if (d->parent && !vgpu_io_name_is_valid(d->parent))
                return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID, "\"%s\" is not the name of a parent",
                                        TEXT_QUOTE(d->parent));
        if (d->pool && (!vgpu_attribute_value_is_valid(d->pool) || strlen(d->pool) > POOL_BYTES_MAX))
                return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID, "\"%s\" is not the name of a pool",
                                        TEXT_QUOTE(d->pool));
        if (d->name && !instance_name_is_valid(d->name))
                return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID, "\"%s\" is not the name of an instance",
                                        TEXT_QUOTE(d->name));

        if (d->parent && !d->gpu)
                return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID, "parent %s is named without its GPU",
                                        TEXT_QUOTE(d->parent));
        if (d->pool && d->gpu)
                return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID, "pool %s conflicts with the named GPU %s",
                                        TEXT_QUOTE(d->pool), TEXT_QUOTE(d->gpu));

        if (d->owner == (uid_t)-1)
                return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID, "the owner is not a user id");
        if (d->created_usec > INT64_MAX)
                return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID, "the time of creation is out of range");

        return definition_check_attributes(d, reterr);
}

/* The length before each text tells the lists "ab", "c" and "a", "bc" apart. */
static void definition_checksum_add(GChecksum *sum, const char *text)
{
        g_autofree char *part = text ? g_strdup_printf("%zu:%s", strlen(text), text) : g_strdup("-");

        g_checksum_update(sum, (const guchar *)part, -1);
}

char *definition_checksum(const Definition *d)
{
        g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
        const char *const texts[] = { d->type, d->gpu, d->parent, d->pool, d->name };

        for (size_t i = 0; i < G_N_ELEMENTS(texts); i++)
                definition_checksum_add(sum, texts[i]);

        for (guint i = 0; i < d->attributes->len; i++) {
                const VgpuAttribute *a = d->attributes->pdata[i];

                definition_checksum_add(sum, a->name);
                definition_checksum_add(sum, a->value);
        }

        return g_strdup(g_checksum_get_string(sum));
}
