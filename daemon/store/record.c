/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "daemon/store/record.h"

#include <string.h>

#include "base/parse-util.h"

#define RECORD_GROUP "Instance"
#define SLOT_GROUP   "Slot"

void record_free(gpointer p)
{
        Record *r = p;

        g_free(r->gpu);
        g_free(r->type_id);
        g_free(r->name);
        g_free(r->slot);
        g_free(r->restore);
        g_free(r->definition);
        g_clear_pointer(&r->attributes, g_ptr_array_unref);
        g_free(r);
}

Record *record_copy(const Record *r)
{
        Record *c = g_memdup2(r, sizeof *r);

        c->gpu = g_strdup(r->gpu);
        c->type_id = g_strdup(r->type_id);
        c->name = g_strdup(r->name);
        c->slot = g_strdup(r->slot);
        c->restore = g_strdup(r->restore);
        c->definition = g_strdup(r->definition);
        c->attributes = vgpu_attributes_copy(r->attributes);

        return c;
}

/* ---- writing ---- */

/* The members that never change after records_begin(). */
static void record_add_request(GKeyFile *file, const Record *record)
{
        g_autoptr(GPtrArray) attributes = g_ptr_array_new_with_free_func(g_free);

        g_key_file_set_string(file, RECORD_GROUP, "Gpu", record->gpu);
        g_key_file_set_string(file, RECORD_GROUP, "Type", record->type_id);

        if (record->name)
                g_key_file_set_string(file, RECORD_GROUP, "Name", record->name);
        g_key_file_set_uint64(file, RECORD_GROUP, "Owner", record->owner);
        g_key_file_set_uint64(file, RECORD_GROUP, "Created", record->created_usec);

        if (record->first[0])
                g_key_file_set_string(file, RECORD_GROUP, "First", record->first);
        if (record->kept)
                g_key_file_set_boolean(file, RECORD_GROUP, "Kept", true);

        for (guint i = 0; record->attributes && i < record->attributes->len; i++) {
                const VgpuAttribute *a = record->attributes->pdata[i];

                g_ptr_array_add(attributes, g_strconcat(a->name, "=", a->value, NULL));
        }

        if (attributes->len > 0)
                g_key_file_set_string_list(file, RECORD_GROUP, "Attributes",
                                           (const char *const *)attributes->pdata, attributes->len);
}

static void record_add_state(GKeyFile *file, const Record *record)
{
        g_key_file_set_boolean(file, RECORD_GROUP, "Made", record->made);

        if (record->undo)
                g_key_file_set_boolean(file, RECORD_GROUP, "Undo", true);
        if (record->definition)
                g_key_file_set_string(file, RECORD_GROUP, "Definition", record->definition);
        if (record->slot)
                g_key_file_set_string(file, RECORD_GROUP, "Slot", record->slot);
        if (record->restore)
                g_key_file_set_string(file, RECORD_GROUP, "Restore", record->restore);
        if (record->removing)
                g_key_file_set_boolean(file, RECORD_GROUP, "Removing", true);
        if (record->identity)
                g_key_file_set_uint64(file, RECORD_GROUP, "Identity", record->identity);
}

char *record_make_text(const Record *record, size_t *ret_size)
{
        g_autoptr(GKeyFile) file = g_key_file_new();

        record_add_request(file, record);
        record_add_state(file, record);

        return g_key_file_to_data(file, ret_size, NULL);
}

char *record_make_update(const Record *record)
{
        g_autoptr(GKeyFile) file = g_key_file_new();

        record_add_state(file, record);
        g_autofree char *text = g_key_file_to_data(file, NULL, NULL);

        /* Older lines may have other values of the keys that record_add_state() leaves out. */
        return g_strdup_printf("\n%s%s%s", text, record->undo ? "" : "Undo=false\n",
                               record->removing ? "" : "Removing=false\n");
}

char *record_make_slot_text(const char *slot, const char *restore, uint64_t identity, size_t *ret_size)
{
        g_autoptr(GKeyFile) file = g_key_file_new();

        g_key_file_set_string(file, SLOT_GROUP, "Slot", slot);

        if (restore)
                g_key_file_set_string(file, SLOT_GROUP, "Restore", restore);
        if (identity)
                g_key_file_set_uint64(file, SLOT_GROUP, "Identity", identity);

        return g_key_file_to_data(file, ret_size, NULL);
}

/* ---- reading ---- */

static bool record_read_number(GKeyFile *file, const char *group, const char *key, uint64_t *ret)
{
        g_autofree char *text = g_key_file_get_value(file, group, key, NULL);

        return text && parse_u64(text, 10, ret) >= 0;
}

static bool record_read_flag(GKeyFile *file, const char *key, bool *ret)
{
        g_autofree char *text = g_key_file_get_value(file, RECORD_GROUP, key, NULL);

        return text && parse_boolean(text, ret) >= 0;
}

/* Elements without a "=", which vgpud does not write, are left out. */
static GPtrArray *record_read_attributes(GKeyFile *file)
{
        g_auto(GStrv) texts = g_key_file_get_string_list(file, RECORD_GROUP, "Attributes", NULL, NULL);
        GPtrArray *attributes = texts ? vgpu_attributes_new() : NULL;

        for (char **text = texts; text && *text; text++) {
                char *value = strchr(*text, '=');

                if (!value)
                        continue;

                *value = '\0';
                g_ptr_array_add(attributes, vgpu_attribute_new(*text, value + 1));
        }

        return attributes;
}

int record_parse(GKeyFile *file, const char *uuid, Record **ret)
{
        char first[UUID_STRLEN + 1] = "";
        uint64_t owner, created, identity = 0;
        bool made, undo = false, kept = false, removing = false;

        g_autofree char *gpu = g_key_file_get_string(file, RECORD_GROUP, "Gpu", NULL);
        g_autofree char *type_id = g_key_file_get_string(file, RECORD_GROUP, "Type", NULL);

        g_autofree char *name = g_key_file_get_string(file, RECORD_GROUP, "Name", NULL);
        if (!gpu || !type_id || (name && !instance_name_is_valid(name)) ||
            !record_read_number(file, RECORD_GROUP, "Owner", &owner) || owner > UINT32_MAX ||
            !record_read_number(file, RECORD_GROUP, "Created", &created) ||
            !record_read_flag(file, "Made", &made))
                return -EBADMSG;

        (void)record_read_flag(file, "Undo", &undo);
        (void)record_read_flag(file, "Kept", &kept);
        (void)record_read_flag(file, "Removing", &removing);
        (void)record_read_number(file, RECORD_GROUP, "Identity", &identity);

        g_autofree char *first_text = g_key_file_get_string(file, RECORD_GROUP, "First", NULL);
        if (first_text && uuid_normalize(first_text, first) < 0)
                return -EBADMSG;

        Record *record = g_new0(Record, 1);
        record->slot = g_key_file_get_string(file, RECORD_GROUP, "Slot", NULL);
        record->restore = g_key_file_get_string(file, RECORD_GROUP, "Restore", NULL);
        record->definition = g_key_file_get_string(file, RECORD_GROUP, "Definition", NULL);
        record->attributes = record_read_attributes(file);
        memcpy(record->uuid, uuid, sizeof record->uuid);
        record->gpu = g_steal_pointer(&gpu);
        record->type_id = g_steal_pointer(&type_id);
        record->name = g_steal_pointer(&name);
        record->owner = (uid_t)owner;
        record->created_usec = created;
        record->made = made;
        record->undo = undo;
        record->kept = kept;
        record->removing = removing;
        record->removal_interrupted = made && removing;
        record->identity = identity;
        record->proven = identity != 0;
        record->in_doubt = !record->slot || (!made && !record->proven);
        memcpy(record->first, first, sizeof record->first);
        record->interrupted = !made;
        *ret = record;

        return 0;
}

uint64_t record_parse_identity(GKeyFile *file)
{
        uint64_t identity = 0;

        (void)record_read_number(file, RECORD_GROUP, "Identity", &identity);

        return identity;
}

int record_parse_slot(GKeyFile *file, char **ret_slot, char **ret_restore, uint64_t *identity)
{
        *ret_slot = g_key_file_get_string(file, SLOT_GROUP, "Slot", NULL);
        if (!*ret_slot)
                return -EBADMSG;

        *ret_restore = g_key_file_get_string(file, SLOT_GROUP, "Restore", NULL);
        (void)record_read_number(file, SLOT_GROUP, "Identity", identity);

        return 0;
}
