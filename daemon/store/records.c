/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "daemon/store/records.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fs-util.h"
#include "base/log.h"
#include "base/parse-util.h"
#include "base/thread.h"

#define RECORD_FILE_MAX 32768 /* a request has at most 4 KiB of attributes, which may be escaped */
#define SLOT_SUFFIX     ".slot"

struct Records {
        SharedFd *directory; /* ref */
        GHashTable *by_uuid; /* owned: uuid in the record -> Record */
};

int records_begin(int dirfd, const Record *record)
{
        gsize size;
        g_autofree char *text = record_make_text(record, &size);

        return fs_replace_file_at(dirfd, record->uuid, text, size, 0600);
}

static int record_append_text(int dirfd, const char *uuid, const char *text, size_t size)
{
        _cleanup_close_ int fd = records_open_witness(dirfd, uuid);
        struct stat st;

        if (fd < 0)
                return fd;
        if (fstat(fd, &st) < 0)
                return -errno;
        if ((uint64_t)st.st_size + size > RECORD_FILE_MAX)
                return -EFBIG;

        if (write(fd, text, size) == (ssize_t)size)
                return fsync(fd) < 0 ? -errno : 0;

        /* Remove an incomplete text, because half of an update may have another meaning. */
        return ftruncate(fd, st.st_size) < 0 ? -errno : -ENOSPC;
}

/* Write a record that has a file already. If the file cannot be replaced, for example on a full file system,
 * append the members that may have changed: the last block often has space left, and the last value of a key
 * counts. */
static int records_rewrite(Records *r, const Record *record)
{
        int dirfd = shared_fd_get(r->directory);

        int k = records_begin(dirfd, record);
        if (k >= 0)
                return k;

        g_autofree char *update = record_make_update(record);

        return record_append_text(dirfd, record->uuid, update, strlen(update)) < 0 ? k : 0;
}

int records_open_witness(int dirfd, const char *uuid)
{
        int fd = openat(dirfd, uuid, O_WRONLY | O_APPEND | O_NOFOLLOW | O_CLOEXEC);

        return fd < 0 ? -errno : fd;
}

static char *records_slot_file_name(const char *uuid)
{
        return g_strconcat(uuid, SLOT_SUFFIX, NULL);
}

int records_reserve(int dirfd, const char *uuid, const char *slot, const char *restore, uint64_t identity)
{
        g_autofree char *name = records_slot_file_name(uuid);
        size_t size;
        g_autofree char *text = record_make_slot_text(slot, restore, identity, &size);

        return fs_replace_file_at(dirfd, name, text, size, 0600);
}

static void records_remove_slot_file(int dirfd, const char *uuid)
{
        g_autofree char *name = records_slot_file_name(uuid);

        if (unlinkat(dirfd, name, 0) < 0 && errno != ENOENT)
                log_warning_errno(-errno, "Cannot remove record %s: %m", name);
}

static Record *records_find_other_slot(Records *r, const char *gpu, const char *slot, const Record *except)
{
        GHashTableIter iter;
        Record *record;

        g_hash_table_iter_init(&iter, r->by_uuid);
        while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&record))
                if (record != except && g_strcmp0(record->slot, slot) == 0 && strcmp(record->gpu, gpu) == 0)
                        return record;

        return NULL;
}

/* Only a free slot is reserved, so an older record of the slot is obsolete. */
static void records_set_slot(Records *r, Record *record, const char *slot, const char *restore)
{
        const Record *older = records_find_other_slot(r, record->gpu, slot, record);

        if (older)
                records_forget(r, older->uuid);
        g_free(record->slot);
        g_free(record->restore);
        record->slot = g_strdup(slot);
        record->restore = g_strdup(restore);
}

/* True if the error means that the file is no record. After other errors, a later read may succeed. */
static bool record_is_spoiled(int r)
{
        return r == -EBADMSG || r == -EFBIG || r == -EINVAL || r == -EISDIR || r == -ELOOP;
}

static void record_drop_file(int dirfd, const char *what, const char *name, int r)
{
        if (!record_is_spoiled(r)) {
                log_warning_errno(r, "Cannot read %s %s, ignoring it until the next start: %m", what, name);
                return;
        }

        log_warning_errno(r, "Cannot read %s %s, removing it: %m", what, name);
        (void)unlinkat(dirfd, name, 0);
}

static int record_load_file(int dirfd, const char *name, GKeyFile *file)
{
        g_autofree char *text = NULL;
        size_t size;
        int r;

        r = fs_read_file_at(dirfd, name, RECORD_FILE_MAX, &text, &size);
        if (r < 0)
                return r;

        return g_key_file_load_from_data(file, text, size, G_KEY_FILE_NONE, NULL) ? 0 : -EBADMSG;
}

uint64_t records_read_proof(int dirfd, const char *uuid)
{
        g_autoptr(GKeyFile) file = g_key_file_new();

        return record_load_file(dirfd, uuid, file) >= 0 ? record_parse_identity(file) : 0;
}

static int record_read(int dirfd, const char *uuid, Record **ret)
{
        g_autoptr(GKeyFile) file = g_key_file_new();
        int r = record_load_file(dirfd, uuid, file);

        return r < 0 ? r : record_parse(file, uuid, ret);
}

/* The first instance of a job is committed after all were created: if its commit is on disk, no instance of the
 * job is incomplete. */
static void records_finish_groups(Records *r)
{
        GHashTableIter iter;
        Record *record;

        g_hash_table_iter_init(&iter, r->by_uuid);
        while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&record)) {
                const Record *first = record->first[0] ? records_get(r, record->first) : NULL;

                if (first && first->made && !first->undo)
                        record->undo = false;
        }
}

/* Set the slot of a record from its slot file, which is newer than the record. -ENOENT: the file is not needed
 * any more. */
static int records_read_slot_file(Records *r, const char *name)
{
        g_autofree char *uuid = g_strndup(name, strlen(name) - strlen(SLOT_SUFFIX));
        g_autoptr(GKeyFile) file = g_key_file_new();
        Record *record = g_hash_table_lookup(r->by_uuid, uuid);
        int k;

        if (record && record->made)
                return -ENOENT;

        /* Keep the slot file of a record that records_open() could not read and has kept. */
        if (!record)
                return faccessat(shared_fd_get(r->directory), uuid, F_OK, AT_SYMLINK_NOFOLLOW) < 0 ? -ENOENT
                                                                                                   : -EAGAIN;

        k = record_load_file(shared_fd_get(r->directory), name, file);
        if (k < 0)
                return k;

        g_autofree char *slot = NULL, *restore = NULL;
        uint64_t identity = record->identity;

        k = record_parse_slot(file, &slot, &restore, &identity);
        if (k < 0)
                return k;

        /* A newer record has the slot: remove this file. This happens if an earlier start could not read this
         * file, and the slot was then reserved for another instance. */
        const Record *other = records_find_other_slot(r, record->gpu, slot, record);
        if (other && other->created_usec > record->created_usec)
                return -ENOENT;

        records_set_slot(r, record, slot, restore);
        /* A proven record is not in doubt: apply_snapshot() compares the identity of its slot. */
        record->in_doubt = !record->proven;
        record->identity = identity;

        return 0;
}

/* If several records name one slot, forget all but the newest. This happens if an earlier start could not read
 * a record, and its slot was then reserved for another instance. */
static void records_drop_older_slots(Records *r)
{
        g_autoptr(GHashTable) newest = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        g_autoptr(GPtrArray) uuids = records_of_gpu(r, NULL);

        for (guint i = 0; i < uuids->len; i++) {
                Record *record = g_hash_table_lookup(r->by_uuid, uuids->pdata[i]), *other, *older;

                if (!record->slot)
                        continue;

                g_autofree char *key = g_strconcat(record->gpu, "/", record->slot, NULL);

                other = g_hash_table_lookup(newest, key);
                older = !other || other->created_usec <= record->created_usec ? other : record;
                if (older != record)
                        g_hash_table_insert(newest, g_steal_pointer(&key), record);
                if (older)
                        records_forget(r, older->uuid);
        }
}

int records_open(int runtime_fd, Records **ret)
{
        _cleanup_close_ int dirfd = fs_open_directory_at(runtime_fd, "instance", 0700);
        g_auto(GStrv) names = NULL;
        int r;

        assert_main_thread();

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

                if (g_str_has_suffix(*n, SLOT_SUFFIX))
                        continue;

                r = uuid_normalize(*n, uuid);
                if (r >= 0)
                        r = strcmp(uuid, *n) == 0 ? record_read(dirfd, uuid, &record) : -EBADMSG;
                if (r >= 0) {
                        g_hash_table_insert(records->by_uuid, record->uuid, record);
                        continue;
                }

                /* Remove a temporary file of a killed daemon without a message. */
                if ((*n)[0] == '.')
                        (void)unlinkat(dirfd, *n, 0);
                else
                        record_drop_file(dirfd, "record", *n, r);
        }

        records->directory = shared_fd_new(TAKE_FD(dirfd));
        records_finish_groups(records);

        for (char **n = names; *n; n++) {
                if (!g_str_has_suffix(*n, SLOT_SUFFIX))
                        continue;

                r = records_read_slot_file(records, *n);
                if (r == -ENOENT)
                        (void)unlinkat(shared_fd_get(records->directory), *n, 0);
                else if (r < 0)
                        record_drop_file(shared_fd_get(records->directory), "slot file", *n, r);
        }

        records_drop_older_slots(records);
        *ret = records;

        return 0;
}

Records *records_free(Records *r)
{
        assert_main_thread();

        if (!r)
                return NULL;

        shared_fd_unref(r->directory);
        g_hash_table_unref(r->by_uuid);
        g_free(r);

        return NULL;
}

const Record *records_get(Records *r, const char *uuid)
{
        assert_main_thread();

        return g_hash_table_lookup(r->by_uuid, uuid);
}

const Record *records_find_name(Records *r, const char *name)
{
        GHashTableIter iter;
        Record *record;

        assert_main_thread();

        g_hash_table_iter_init(&iter, r->by_uuid);
        while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&record))
                if (g_strcmp0(record->name, name) == 0)
                        return record;

        return NULL;
}

GHashTable *records_index_slots(Records *r, const char *gpu)
{
        GHashTable *slots = g_hash_table_new(g_str_hash, g_str_equal);
        GHashTableIter iter;
        Record *record;

        assert_main_thread();

        g_hash_table_iter_init(&iter, r->by_uuid);
        while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&record))
                if (record->slot && strcmp(record->gpu, gpu) == 0)
                        g_hash_table_insert(slots, record->slot, record);

        return slots;
}

SharedFd *records_directory(Records *r)
{
        assert_main_thread();

        return shared_fd_ref(r->directory);
}

void records_note_slot(Records *r, const char *uuid, const char *slot, const char *restore)
{
        Record *record = g_hash_table_lookup(r->by_uuid, uuid);

        assert_main_thread();

        if (record)
                records_set_slot(r, record, slot, restore);
}

void records_note_identity(Records *r, const char *uuid, uint64_t identity)
{
        Record *record = g_hash_table_lookup(r->by_uuid, uuid);

        assert_main_thread();

        if (record)
                record->identity = identity;
}

void records_note_proof(Records *r, const char *uuid, uint64_t identity)
{
        Record *record = g_hash_table_lookup(r->by_uuid, uuid);

        assert_main_thread();

        if (!record || identity == 0)
                return;

        record->proven = true;
        if (record->identity == 0)
                record->identity = identity;
}

void records_add(Records *r, const Record *record)
{
        Record *copy = record_copy(record);

        assert_main_thread();

        copy->written_usec = (uint64_t)g_get_monotonic_time();
        g_hash_table_replace(r->by_uuid, copy->uuid, copy);
}

int records_put(Records *r, const Record *record)
{
        int k = records_begin(shared_fd_get(r->directory), record);

        if (k < 0)
                return k;

        records_add(r, record);

        return 0;
}

bool records_fits(uint64_t identity, uint64_t now)
{
        return identity != 0 && now == identity;
}

void records_doubt(Records *r, const char *uuid)
{
        Record *record = g_hash_table_lookup(r->by_uuid, uuid);

        assert_main_thread();

        if (record && record->made && !record->slot && record->identity != 0)
                record->in_doubt = true;
}

void records_end_doubt(Records *r, const char *uuid)
{
        Record *record = g_hash_table_lookup(r->by_uuid, uuid);

        assert_main_thread();

        if (record)
                record->in_doubt = false;
}

static int records_commit_as(Records *r, const char *uuid, bool undo)
{
        Record *record = g_hash_table_lookup(r->by_uuid, uuid);

        if (!record)
                return -ENOENT;

        record->made = true;
        record->undo = undo;
        record->interrupted = false;
        record->written_usec = (uint64_t)g_get_monotonic_time();

        int k = records_rewrite(r, record);
        if (k >= 0 && record->slot)
                records_remove_slot_file(shared_fd_get(r->directory), uuid);

        return k;
}

int records_commit(Records *r, const char *uuid)
{
        return records_commit_as(r, uuid, false);
}

int records_commit_undo(Records *r, const char *uuid)
{
        return records_commit_as(r, uuid, true);
}

void records_mark_removing(Records *r, const char *uuid, bool removing)
{
        Record *record = g_hash_table_lookup(r->by_uuid, uuid);
        int k;

        assert_main_thread();

        if (!record || !record->slot || record->removing == removing)
                return;

        record->removing = removing;
        record->removal_interrupted = false;

        k = records_rewrite(r, record);
        if (k < 0)
                log_warning_errno(k, "Cannot write the record of instance %s, keeping it in memory: %m", uuid);
}

int records_note_definition(Records *r, const char *uuid, const char *checksum)
{
        Record *record = g_hash_table_lookup(r->by_uuid, uuid);

        assert_main_thread();

        if (!record)
                return -ENOENT;

        g_free(record->definition);
        record->definition = g_strdup(checksum);

        return records_rewrite(r, record);
}

void records_leave_open(Records *r, const char *uuid)
{
        Record *record = g_hash_table_lookup(r->by_uuid, uuid);
        int k;

        assert_main_thread();

        if (!record || record->made)
                return;

        record->undo = record->interrupted = record->in_doubt = true;
        k = records_rewrite(r, record);
        if (k < 0)
                log_warning_errno(k, "Cannot write the record of instance %s, keeping it in memory: %m", uuid);
}

void records_forget(Records *r, const char *uuid)
{
        Record *record = g_hash_table_lookup(r->by_uuid, uuid);

        assert_main_thread();

        if (!record)
                return;

        if (unlinkat(shared_fd_get(r->directory), record->uuid, 0) < 0 && errno != ENOENT)
                log_warning_errno(-errno, "Cannot remove record %s: %m", record->uuid);
        /* A failed job may have left a slot file that the record does not mention. */
        records_remove_slot_file(shared_fd_get(r->directory), record->uuid);
        g_hash_table_remove(r->by_uuid, uuid);
}

GPtrArray *records_of_gpu(Records *r, const char *gpu)
{
        GPtrArray *uuids = g_ptr_array_new();
        GHashTableIter iter;
        Record *record;

        assert_main_thread();

        g_hash_table_iter_init(&iter, r->by_uuid);
        while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&record))
                if (!gpu || strcmp(record->gpu, gpu) == 0)
                        g_ptr_array_add(uuids, record->uuid);

        return uuids;
}
