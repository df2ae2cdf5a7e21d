/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "daemon/records.h"

#include <string.h>

#include "base/fs-util.h"
#include "base/log.h"
#include "base/parse-util.h"
#include "daemon/instance.h"

#define RECORD_FILE_MAX 4096
#define RECORD_GROUP    "Instance"

struct Records {
        int dirfd;           /* owned */
        GHashTable *by_uuid; /* owned: uuid in the record -> Record */
};

static void record_free(gpointer p)
{
        Record *r = p;

        g_free(r->gpu);
        g_free(r->type_id);
        g_free(r->name);
        g_free(r);
}

static Record *record_copy(const Record *r)
{
        Record *c = g_memdup2(r, sizeof *r);

        c->gpu = g_strdup(r->gpu);
        c->type_id = g_strdup(r->type_id);
        c->name = g_strdup(r->name);
        return c;
}

static int record_write(Records *r, const Record *record)
{
        g_autoptr(GKeyFile) file = g_key_file_new();
        gsize size;

        g_key_file_set_string(file, RECORD_GROUP, "Gpu", record->gpu);
        g_key_file_set_string(file, RECORD_GROUP, "Type", record->type_id);
        if (record->name)
                g_key_file_set_string(file, RECORD_GROUP, "Name", record->name);
        g_key_file_set_uint64(file, RECORD_GROUP, "Owner", record->owner);
        g_key_file_set_uint64(file, RECORD_GROUP, "Created", record->created_usec);
        g_key_file_set_boolean(file, RECORD_GROUP, "Made", record->made);
        if (record->undo)
                g_key_file_set_boolean(file, RECORD_GROUP, "Undo", true);
        if (record->first[0])
                g_key_file_set_string(file, RECORD_GROUP, "First", record->first);
        g_autofree char *text = g_key_file_to_data(file, &size, NULL);
        return fs_replace_file_at(r->dirfd, record->uuid, text, size, 0600);
}

static bool read_number(GKeyFile *file, const char *key, uint64_t *ret)
{
        g_autofree char *text = g_key_file_get_value(file, RECORD_GROUP, key, NULL);

        return text && parse_u64(text, 10, ret) >= 0;
}

static bool read_flag(GKeyFile *file, const char *key, bool *ret)
{
        g_autofree char *text = g_key_file_get_value(file, RECORD_GROUP, key, NULL);

        return text && parse_boolean(text, ret) >= 0;
}

static int record_read(int dirfd, const char *uuid, Record **ret)
{
        g_autoptr(GKeyFile) file = g_key_file_new();
        g_autofree char *text = NULL;
        char first[UUID_STRLEN + 1] = "";
        uint64_t owner, created;
        size_t size;
        bool made, undo = false;
        int r;

        r = fs_read_file_at(dirfd, uuid, RECORD_FILE_MAX, &text, &size);
        if (r < 0)
                return r;
        if (!g_key_file_load_from_data(file, text, size, G_KEY_FILE_NONE, NULL))
                return -EBADMSG;
        g_autofree char *gpu = g_key_file_get_string(file, RECORD_GROUP, "Gpu", NULL);
        g_autofree char *type_id = g_key_file_get_string(file, RECORD_GROUP, "Type", NULL);
        g_autofree char *name = g_key_file_get_string(file, RECORD_GROUP, "Name", NULL);
        if (!gpu || !type_id || (name && !instance_name_is_valid(name)) ||
            !read_number(file, "Owner", &owner) || owner > UINT32_MAX ||
            !read_number(file, "Created", &created) || !read_flag(file, "Made", &made))
                return -EBADMSG;
        (void)read_flag(file, "Undo", &undo);
        g_autofree char *first_text = g_key_file_get_string(file, RECORD_GROUP, "First", NULL);
        if (first_text && uuid_normalize(first_text, first) < 0)
                return -EBADMSG;

        Record *record = g_new0(Record, 1);
        memcpy(record->uuid, uuid, sizeof record->uuid);
        record->gpu = g_steal_pointer(&gpu);
        record->type_id = g_steal_pointer(&type_id);
        record->name = g_steal_pointer(&name);
        record->owner = (uid_t)owner;
        record->created_usec = created;
        record->made = made;
        record->undo = undo;
        memcpy(record->first, first, sizeof record->first);
        record->interrupted = !made;
        *ret = record;
        return 0;
}

/* A daemon that was killed between the commits of several that belong together had finished making them: none
 * of them is half made. */
static void settle_groups(Records *r)
{
        GHashTableIter iter;
        Record *record;

        g_hash_table_iter_init(&iter, r->by_uuid);
        while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&record)) {
                const Record *first = record->first[0] ? records_get(r, record->first) : NULL;
                if (first && first->made)
                        record->undo = false;
        }
}

int records_open(int runtime_fd, Records **ret)
{
        _cleanup_close_ int dirfd = fs_open_directory_at(runtime_fd, "instance", 0700);
        g_auto(GStrv) names = NULL;
        int r;

        if (dirfd < 0)
                return dirfd;
        r = fs_list_at(dirfd, ".", &names);
        if (r < 0)
                return r;

        Records *records = g_new0(Records, 1);
        records->by_uuid = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, record_free);
        for (char **n = names; *n; n++) {
                char uuid[UUID_STRLEN + 1];
                Record *record = NULL;

                r = uuid_normalize(*n, uuid);
                if (r >= 0)
                        r = strcmp(uuid, *n) == 0 ? record_read(dirfd, uuid, &record) : -EBADMSG;
                if (r >= 0) {
                        g_hash_table_insert(records->by_uuid, record->uuid, record);
                        continue;
                }
                /* A temporary file is what a killed daemon leaves and nothing to speak of. */
                if ((*n)[0] != '.')
                        log_warning_errno(r, "Record %s cannot be understood, removing it: %m", *n);
                (void)unlinkat(dirfd, *n, 0);
        }
        settle_groups(records);
        records->dirfd = TAKE_FD(dirfd);
        *ret = records;
        return 0;
}

Records *records_free(Records *r)
{
        if (!r)
                return NULL;
        safe_close(r->dirfd);
        g_hash_table_unref(r->by_uuid);
        g_free(r);
        return NULL;
}

const Record *records_get(Records *r, const char *uuid)
{
        return g_hash_table_lookup(r->by_uuid, uuid);
}

const Record *records_find_name(Records *r, const char *name)
{
        GHashTableIter iter;
        Record *record;

        g_hash_table_iter_init(&iter, r->by_uuid);
        while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&record))
                if (g_strcmp0(record->name, name) == 0)
                        return record;
        return NULL;
}

int records_put(Records *r, const Record *record)
{
        int k = record_write(r, record);

        if (k < 0)
                return k;
        Record *copy = record_copy(record);
        g_hash_table_replace(r->by_uuid, copy->uuid, copy);
        return 0;
}

int records_commit(Records *r, const char *uuid)
{
        Record *record = g_hash_table_lookup(r->by_uuid, uuid);

        if (!record)
                return -ENOENT;
        record->made = true;
        record->undo = record->interrupted = false;
        return record_write(r, record);
}

void records_forget(Records *r, const char *uuid)
{
        Record *record = g_hash_table_lookup(r->by_uuid, uuid);

        if (!record)
                return;
        if (unlinkat(r->dirfd, record->uuid, 0) < 0 && errno != ENOENT)
                log_warning_errno(-errno, "Cannot remove record %s: %m", record->uuid);
        g_hash_table_remove(r->by_uuid, uuid);
}

GPtrArray *records_of_gpu(Records *r, const char *gpu)
{
        GPtrArray *uuids = g_ptr_array_new();
        GHashTableIter iter;
        Record *record;

        g_hash_table_iter_init(&iter, r->by_uuid);
        while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&record))
                if (!gpu || strcmp(record->gpu, gpu) == 0)
                        g_ptr_array_add(uuids, record->uuid);
        return uuids;
}
