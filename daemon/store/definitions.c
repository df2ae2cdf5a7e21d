/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "daemon/store/definitions.h"

#include <string.h>

#include "base/log.h"
#include "base/thread.h"
#include "daemon/store/definition-json.h"
#include "daemon/store/store-folder.h"

/* From this number on, one syncfs() replaces the fsync() of each file. syncfs() also writes out what other
 * programs have written to the file system, which can take long. */
#define SYNCFS_MIN 32U

struct Definitions {
        StoreFolder *folder;  /* owned */
        GTree *by_uuid;       /* owned: UUID in the definition -> Definition */
        GHashTable *by_name;  /* owned: name in the definition -> Definition, the first by UUID */
        GHashTable *shared;   /* owned: names (owned) that several files had */
        GHashTable *by_owner; /* owned: uid -> number of definitions; no entry: none */
};

/* ---- table ---- */

static int definitions_compare_uuids(gconstpointer a, gconstpointer b, gpointer userdata)
{
        return strcmp(a, b);
}

static void definitions_count_owner(Definitions *d, uid_t owner, int change)
{
        guint before = definitions_count_of(d, owner), count = before + (guint)change;

        g_assert(change > 0 || before > 0);

        if (count > 0)
                g_hash_table_insert(d->by_owner, GUINT_TO_POINTER(owner), GUINT_TO_POINTER(count));
        else
                g_hash_table_remove(d->by_owner, GUINT_TO_POINTER(owner));
}

static void definitions_index_name(Definitions *d, Definition *definition)
{
        const Definition *other = definitions_find_name(d, definition->name);

        if (other)
                g_hash_table_add(d->shared, g_strdup(definition->name));
        if (!other || strcmp(definition->uuid, other->uuid) < 0)
                g_hash_table_replace(d->by_name, definition->name, definition);
}

static void definitions_unindex_name(Definitions *d, const Definition *definition)
{
        if (g_hash_table_lookup(d->by_name, definition->name) != definition)
                return;

        g_hash_table_remove(d->by_name, definition->name);
        if (!g_hash_table_contains(d->shared, definition->name))
                return;

        for (GTreeNode *node = g_tree_node_first(d->by_uuid); node; node = g_tree_node_next(node)) {
                Definition *other = g_tree_node_value(node);

                if (other != definition && g_strcmp0(other->name, definition->name) == 0) {
                        g_hash_table_insert(d->by_name, other->name, other);
                        return;
                }
        }
}

static void definitions_forget(Definitions *d, const char *uuid)
{
        Definition *definition = g_tree_lookup(d->by_uuid, uuid);

        if (!definition)
                return;

        if (definition->name)
                definitions_unindex_name(d, definition);
        definitions_count_owner(d, definition->owner, -1);
        g_tree_remove(d->by_uuid, definition->uuid);
}

/* Takes ownership, and replaces the definition of the same UUID. */
static void definitions_keep(Definitions *d, Definition *definition)
{
        definitions_forget(d, definition->uuid);

        g_tree_insert(d->by_uuid, definition->uuid, definition);
        definitions_count_owner(d, definition->owner, 1);
        if (definition->name)
                definitions_index_name(d, definition);
}

const Definition *definitions_get(Definitions *d, const char *uuid)
{
        assert_main_thread();

        return g_tree_lookup(d->by_uuid, uuid);
}

const Definition *definitions_find_name(Definitions *d, const char *name)
{
        assert_main_thread();

        return g_hash_table_lookup(d->by_name, name);
}

guint definitions_count(Definitions *d)
{
        assert_main_thread();

        return (guint)g_tree_nnodes(d->by_uuid);
}

guint definitions_count_of(Definitions *d, uid_t owner)
{
        assert_main_thread();

        return GPOINTER_TO_UINT(g_hash_table_lookup(d->by_owner, GUINT_TO_POINTER(owner)));
}

GPtrArray *definitions_list(Definitions *d, const char *after)
{
        GPtrArray *list = g_ptr_array_new();
        GTreeNode *node;

        assert_main_thread();

        node = after ? g_tree_upper_bound(d->by_uuid, after) : g_tree_node_first(d->by_uuid);
        for (; node; node = g_tree_node_next(node))
                g_ptr_array_add(list, g_tree_node_value(node));

        return list;
}

const GPtrArray *definitions_errors(Definitions *d)
{
        assert_main_thread();

        return store_folder_errors(d->folder);
}

/* ---- start ---- */

static bool definitions_name_is_valid(const char *name)
{
        char uuid[UUID_STRLEN + 1];

        return uuid_normalize(name, uuid) >= 0 && strcmp(name, uuid) == 0 && !uuid_is_nil(uuid);
}

static int definitions_load(const char *uuid, const char *text, size_t size, void *userdata, VgpudError *reterr)
{
        Definitions *d = userdata;
        Definition *definition;
        const Definition *other;
        int r;

        if (definitions_count(d) >= DEFINITIONS_MAX) {
                store_folder_report(d->folder,
                                    "file %s" STORE_FILE_SUFFIX " is one of more than %u definitions", uuid,
                                    DEFINITIONS_MAX);
                return 0;
        }

        r = definition_from_json(uuid, text, size, &definition, reterr);
        if (r < 0)
                return r;

        other = definition->name ? definitions_find_name(d, definition->name) : NULL;
        if (other)
                store_folder_report(d->folder,
                                    "file %s" STORE_FILE_SUFFIX
                                    " names its instance %s, but this name finds definition %s",
                                    uuid, definition->name, other->uuid);
        definitions_keep(d, definition);

        return 0;
}

static const StoreFolderInfo definitions_info = {
        .name = "definitions",
        .objects = "definitions",
        .object = "definition",
        .max_size = DEFINITION_JSON_MAX,
        .name_is_valid = definitions_name_is_valid,
        .valid_names = "a UUID in lower case",
        .load = definitions_load,
};

Definitions *definitions_new(const char *state_directory)
{
        Definitions *d = g_new0(Definitions, 1);

        assert_main_thread();

        d->by_uuid = g_tree_new_full(definitions_compare_uuids, NULL, NULL, definition_free);
        d->by_name = g_hash_table_new(g_str_hash, g_str_equal);
        d->shared = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        d->by_owner = g_hash_table_new(NULL, NULL);
        d->folder = store_folder_new(&definitions_info, state_directory);
        store_folder_load(d->folder, d);

        return d;
}

Definitions *definitions_free(Definitions *d)
{
        assert_main_thread();

        if (!d)
                return NULL;

        store_folder_free(d->folder);
        g_hash_table_unref(d->by_name);
        g_hash_table_unref(d->shared);
        g_hash_table_unref(d->by_owner);
        g_tree_unref(d->by_uuid);
        g_free(d);

        return NULL;
}

/* ---- changes ---- */

static int definitions_write(Definitions *d, const Definition *definition, bool sync)
{
        size_t size;
        g_autofree char *text = definition_to_json(definition, &size);

        return store_folder_write(d->folder, definition->uuid, text, size, sync);
}

static int definitions_fail_write(Definitions *d, const char *uuid, int r, VgpudError *reterr)
{
        return store_folder_fail(d->folder, uuid, "written", r, reterr);
}

int definitions_put(Definitions *d, const Definition *definition, VgpudError *reterr)
{
        int r;

        assert_main_thread();
        g_assert(uuid_is_valid(definition->uuid));

        r = definition_check(definition, reterr);
        if (r >= 0)
                r = store_folder_follow(d->folder, reterr);
        if (r < 0)
                return r;

        r = definitions_write(d, definition, true);
        if (r < 0)
                return definitions_fail_write(d, definition->uuid, r, reterr);

        r = store_folder_publish(d->folder, definition->uuid, definitions_get(d, definition->uuid) != NULL);
        if (r < 0) {
                store_folder_remove_written(d->folder, definition->uuid);
                return definitions_fail_write(d, definition->uuid, r, reterr);
        }

        store_folder_sync(d->folder);
        definitions_keep(d, definition_copy(definition));

        return 0;
}

/* Remove the first `count` files again. They are new, so no earlier content is lost. */
static void definitions_unpublish(Definitions *d, const GPtrArray *definitions, guint count)
{
        g_assert(count <= definitions->len);

        for (guint i = 0; i < count; i++) {
                const Definition *definition = definitions->pdata[i];
                int r = store_folder_remove(d->folder, definition->uuid);

                if (r < 0)
                        log_error_errno(r, "Cannot remove the file of definition %s again: %m",
                                        definition->uuid);
        }

        store_folder_sync(d->folder);
}

/* Returns the first definition that cannot be written, and why. */
static const Definition *definitions_write_many(Definitions *d, const GPtrArray *definitions, int *ret_r)
{
        bool together = definitions->len >= SYNCFS_MIN;

        for (guint i = 0; i < definitions->len; i++) {
                const Definition *definition = definitions->pdata[i];

                *ret_r = definitions_get(d, definition->uuid) ? -EEXIST
                                                              : definitions_write(d, definition, !together);
                if (*ret_r < 0)
                        return definition;
        }

        *ret_r = together ? store_folder_sync_all(d->folder) : 0;
        if (*ret_r < 0)
                return definitions->pdata[0];

        for (guint i = 0; i < definitions->len; i++) {
                const Definition *definition = definitions->pdata[i];

                *ret_r = store_folder_publish(d->folder, definition->uuid, false);
                if (*ret_r < 0) {
                        definitions_unpublish(d, definitions, i);
                        return definition;
                }
        }

        return NULL;
}

int definitions_put_many(Definitions *d, const GPtrArray *definitions, VgpudError *reterr)
{
        const Definition *failed;
        int r = 0;

        assert_main_thread();

        for (guint i = 0; i < definitions->len; i++) {
                const Definition *definition = definitions->pdata[i];

                g_assert(uuid_is_valid(definition->uuid));
                r = definition_check(definition, reterr);
                if (r < 0)
                        return r;
        }

        r = store_folder_follow(d->folder, reterr);
        if (r < 0)
                return r;

        failed = definitions_write_many(d, definitions, &r);
        if (failed) {
                for (guint i = 0; i < definitions->len; i++)
                        store_folder_remove_written(d->folder,
                                                    ((const Definition *)definitions->pdata[i])->uuid);
                return definitions_fail_write(d, failed->uuid, r, reterr);
        }

        store_folder_sync(d->folder);
        for (guint i = 0; i < definitions->len; i++)
                definitions_keep(d, definition_copy(definitions->pdata[i]));

        return 0;
}

int definitions_remove(Definitions *d, const char *uuid, VgpudError *reterr)
{
        int r;

        assert_main_thread();
        g_assert(uuid_is_valid(uuid));

        r = store_folder_follow(d->folder, reterr);
        if (r < 0)
                return r;

        r = store_folder_remove(d->folder, uuid);
        if (r < 0)
                return store_folder_fail(d->folder, uuid, "removed", r, reterr);

        store_folder_sync(d->folder);
        definitions_forget(d, uuid);

        return 0;
}
