/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "daemon/store/definitions.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fs-util.h"
#include "base/log-ids.h"
#include "base/log.h"
#include "base/text.h"
#include "base/thread.h"
#include "daemon/store/definition-json.h"

#define FILE_SUFFIX    ".json"
#define DAMAGED_SUFFIX ".damaged"
#define FOLDER_NAME    "definitions"
#define FILE_MODE      0600
/* Limits of reports and of files set aside under one name: the folder may have any number of files. */
#define ERRORS_MAX  256U
#define DAMAGED_MAX 1000U
/* From this number on, one syncfs() replaces the fsync() of each file. syncfs() also writes out what other
 * programs have written to the file system, which can take long. */
#define SYNCFS_MIN 32U

struct Definitions {
        int dirfd;             /* owned; a negative errno if the folder cannot be read */
        char *state_directory; /* owned */
        char *folder;          /* owned: path */
        GTree *by_uuid;        /* owned: UUID in the definition -> Definition */
        GHashTable *by_name;   /* owned: name in the definition -> Definition, the first by UUID */
        GHashTable *shared;    /* owned: names (owned) that several files had */
        GHashTable *by_owner;  /* owned: uid -> number of definitions; no entry: none */
        GPtrArray *errors;     /* owned: char * */
        guint more_errors;     /* after the first ERRORS_MAX */
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

        return d->errors;
}

/* ---- start ---- */

static void definitions_report(Definitions *d, const char *format, ...) _printf_(2, 3) _cold_;
static void definitions_report(Definitions *d, const char *format, ...)
{
        va_list ap;

        if (d->errors->len >= ERRORS_MAX) {
                d->more_errors++;
                return;
        }

        va_start(ap, format);
        g_autofree char *text = g_strdup_vprintf(format, ap);
        va_end(ap);

        LOG_FIELDS(LOG_ERR, (.message_id = VGPUD_MESSAGE_DEFINITION_FAULT), "Fault in the definitions: %s",
                   text);
        g_ptr_array_add(d->errors, text_clean(g_steal_pointer(&text), TEXT_MESSAGE_MAX));
}

static char *definitions_file_name(const char *uuid)
{
        return g_strconcat(uuid, FILE_SUFFIX, NULL);
}

/* Read the UUID from the name of a file. -EINVAL: the name is not one that definitions_file_name() makes. */
static int definitions_parse_file_name(const char *name, char uuid[static UUID_STRLEN + 1])
{
        g_autofree char *beginning = g_strndup(name, UUID_STRLEN), *again = NULL;

        if (uuid_normalize(beginning, uuid) < 0 || uuid_is_nil(uuid))
                return -EINVAL;

        again = definitions_file_name(uuid);

        return strcmp(again, name) == 0 ? 0 : -EINVAL;
}

static bool definitions_is_set_aside(const char *name)
{
        const char *suffix = g_strrstr(name, FILE_SUFFIX DAMAGED_SUFFIX);

        if (!suffix)
                return false;

        suffix += strlen(FILE_SUFFIX DAMAGED_SUFFIX);
        if (suffix[0] == '.' && g_ascii_isdigit(suffix[1]))
                suffix += 1 + strspn(suffix + 1, "0123456789");

        return !*suffix;
}

/* Remove the file if its name is that of a temporary file, which a killed daemon left. */
static void definitions_clean(Definitions *d, const char *name)
{
        char uuid[UUID_STRLEN + 1];
        g_autofree char *beginning = g_strndup(name + 1, UUID_STRLEN + strlen(FILE_SUFFIX));
        g_autofree char *temporary = fs_temporary_name(beginning);

        if (definitions_parse_file_name(beginning, uuid) >= 0 && strcmp(temporary, name) == 0)
                (void)unlinkat(d->dirfd, name, 0);
}

static void definitions_set_aside(Definitions *d, const char *name, const char *why)
{
        g_autofree char *target = g_strconcat(name, DAMAGED_SUFFIX, NULL);
        int r = fs_rename_new_at(d->dirfd, name, target);

        for (guint i = 1; r == -EEXIST && i < DAMAGED_MAX; i++) {
                g_free(target);
                target = g_strdup_printf("%s%s.%u", name, DAMAGED_SUFFIX, i);
                r = fs_rename_new_at(d->dirfd, name, target);
        }

        if (r < 0)
                definitions_report(d, "file %s is damaged and cannot be renamed to %s (%s): %s",
                                   TEXT_QUOTE(name), TEXT_QUOTE(target), g_strerror(-r), why);
        else
                definitions_report(d, "file %s was damaged and is %s now: %s", TEXT_QUOTE(name),
                                   TEXT_QUOTE(target), why);
}

/* Errors: INVALID: the file holds no definition; UNSUPPORTED: its format is newer; FAILED: it cannot be read
 * now. */
static int definitions_read(Definitions *d, const char *name, const char *uuid, Definition **ret,
                            VgpudError *reterr)
{
        g_autofree char *text = NULL;
        struct stat st;
        size_t size;
        int r;

        /* Do not open other kinds of files: opening a device node may have an effect. */
        r = fstatat(d->dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
        if (r >= 0 && !S_ISREG(st.st_mode))
                return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID, "it is not a regular file");

        if (r >= 0)
                r = fs_read_file_at(d->dirfd, name, DEFINITION_JSON_MAX, &text, &size);
        if (r == -EFBIG)
                return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID, "it has more than %u bytes",
                                        DEFINITION_JSON_MAX);
        if (r < 0)
                return vgpud_error_set_errnof(reterr, VGPUD_ERROR_FAILED, r, "%s", g_strerror(-r));

        return definition_from_json(uuid, text, size, ret, reterr);
}

static void definitions_load_file(Definitions *d, const char *name)
{
        _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;
        char uuid[UUID_STRLEN + 1];
        Definition *definition;
        const Definition *other;

        if (definitions_parse_file_name(name, uuid) < 0) {
                definitions_set_aside(d, name, "its name is not a UUID in lower case with " FILE_SUFFIX);
                return;
        }

        if (definitions_count(d) >= DEFINITIONS_MAX) {
                definitions_report(d, "file %s is one of more than %u definitions", name, DEFINITIONS_MAX);
                return;
        }

        if (definitions_read(d, name, uuid, &definition, &e) < 0) {
                if (e.code == VGPUD_ERROR_INVALID)
                        definitions_set_aside(d, name, e.message);
                else if (e.errnum != ENOENT)
                        definitions_report(d, "file %s cannot be read: %s", name, e.message);
                return;
        }

        other = definition->name ? definitions_find_name(d, definition->name) : NULL;
        if (other)
                definitions_report(d, "file %s names its instance %s, but this name finds definition %s", name,
                                   definition->name, other->uuid);
        definitions_keep(d, definition);
}

static int definitions_load(Definitions *d)
{
        g_auto(GStrv) names = NULL;
        int r;

        r = fs_list_at(d->dirfd, ".", &names);
        if (r < 0)
                return r;

        for (char **n = names; *n; n++) {
                if ((*n)[0] == '.')
                        definitions_clean(d, *n);
                else if (definitions_is_set_aside(*n))
                        definitions_report(d, "file %s was damaged at an earlier start", TEXT_QUOTE(*n));
                else if (g_str_has_suffix(*n, FILE_SUFFIX))
                        definitions_load_file(d, *n);
                else
                        log_debug("Ignoring %s in the folder of definitions", TEXT_QUOTE(*n));
        }

        return 0;
}

/* Opens or creates the folder. -ELOOP: it is a symbolic link, which openat() reports as ENOTDIR. */
static int definitions_open_folder(Definitions *d)
{
        _cleanup_close_ int state_fd = fs_open_directory(d->state_directory, 0755);
        struct stat st;
        int fd;

        if (state_fd < 0)
                return state_fd;

        fd = fs_open_directory_at(state_fd, FOLDER_NAME, 0700);
        if (fd == -ENOTDIR && fstatat(state_fd, FOLDER_NAME, &st, AT_SYMLINK_NOFOLLOW) >= 0 &&
            S_ISLNK(st.st_mode))
                return -ELOOP;

        return fd;
}

static const char *definitions_explain_folder(int r)
{
        return r == -ELOOP ? "a symbolic link is refused here" : g_strerror(-r);
}

Definitions *definitions_new(const char *state_directory)
{
        Definitions *d = g_new0(Definitions, 1);
        int r;

        assert_main_thread();

        d->by_uuid = g_tree_new_full(definitions_compare_uuids, NULL, NULL, definition_free);
        d->by_name = g_hash_table_new(g_str_hash, g_str_equal);
        d->shared = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        d->by_owner = g_hash_table_new(NULL, NULL);
        d->errors = g_ptr_array_new_with_free_func(g_free);

        d->state_directory = g_strdup(state_directory);
        d->folder = g_build_filename(state_directory, FOLDER_NAME, NULL);
        d->dirfd = definitions_open_folder(d);
        r = d->dirfd < 0 ? d->dirfd : definitions_load(d);
        if (r < 0) {
                definitions_report(d, "folder %s could not be read at the start: %s", d->folder,
                                   definitions_explain_folder(r));
                (void)safe_close(d->dirfd);
                d->dirfd = r;
        }

        if (d->more_errors > 0)
                g_ptr_array_add(d->errors, g_strdup_printf("%u more files have faults", d->more_errors));

        return d;
}

Definitions *definitions_free(Definitions *d)
{
        assert_main_thread();

        if (!d)
                return NULL;

        (void)safe_close(d->dirfd);
        g_free(d->state_directory);
        g_free(d->folder);
        g_hash_table_unref(d->by_name);
        g_hash_table_unref(d->shared);
        g_hash_table_unref(d->by_owner);
        g_tree_unref(d->by_uuid);
        g_ptr_array_unref(d->errors);
        g_free(d);

        return NULL;
}

/* ---- changes ---- */

static bool definitions_has_folder(Definitions *d)
{
        struct stat opened, now;

        return d->dirfd >= 0 && fstat(d->dirfd, &opened) >= 0 && lstat(d->folder, &now) >= 0 &&
               opened.st_dev == now.st_dev && opened.st_ino == now.st_ino;
}

static int definitions_fail_folder(Definitions *d, int r, VgpudError *reterr)
{
        int result = vgpud_error_set_errnof(reterr, VGPUD_ERROR_FAILED, r, "folder %s cannot be opened: %s",
                                            d->folder, definitions_explain_folder(r));

        if (r == -ELOOP)
                vgpud_error_hintf(reterr, VGPUD_HINT_REMOVE_BY_HAND,
                                  "replace the link %s with a folder; a bind mount can put it on another disk",
                                  d->folder);
        else if (r == -ENOTDIR)
                vgpud_error_hintf(reterr, VGPUD_HINT_REMOVE_BY_HAND, "replace %s with a folder", d->folder);
        else
                log_error_errno(r, "Cannot open folder %s: %m", d->folder);

        return result;
}

/* Called before each change: an administrator may have removed or replaced the folder, or repaired a folder
 * that could not be opened. The definitions in memory stay, because each removal would have to be announced. */
static int definitions_follow_folder(Definitions *d, VgpudError *reterr)
{
        int fd;

        if (definitions_has_folder(d))
                return 0;

        fd = definitions_open_folder(d);
        if (fd >= 0)
                definitions_report(
                                d,
                                "folder %s was opened after the start: vgpud has not read its files, and earlier definitions are only in memory",
                                d->folder);
        else if (d->dirfd >= 0)
                definitions_report(d, "folder %s was replaced and cannot be opened: %s", d->folder,
                                   definitions_explain_folder(fd));

        (void)safe_close(d->dirfd);
        d->dirfd = fd;

        return fd < 0 ? definitions_fail_folder(d, fd, reterr) : 0;
}

/* The change counts even if the sync fails: the file system shows it, until a power failure. */
static void definitions_sync_folder(Definitions *d)
{
        if (fsync(d->dirfd) < 0)
                log_warning_errno(-errno, "Cannot sync the folder of definitions: %m");
}

static int definitions_write(Definitions *d, const Definition *definition, bool sync)
{
        size_t size;
        g_autofree char *name = definitions_file_name(definition->uuid);
        g_autofree char *text = definition_to_json(definition, &size);

        return fs_write_temporary_at(d->dirfd, name, text, size, FILE_MODE, sync);
}

static void definitions_remove_written(Definitions *d, const Definition *definition)
{
        g_autofree char *name = definitions_file_name(definition->uuid);
        g_autofree char *temporary = fs_temporary_name(name);

        (void)unlinkat(d->dirfd, temporary, 0);
}

/* Rename the temporary file to its final name. */
static int definitions_publish(Definitions *d, const Definition *definition, bool replace)
{
        g_autofree char *name = definitions_file_name(definition->uuid);
        g_autofree char *temporary = fs_temporary_name(name);

        if (!replace)
                return fs_rename_new_at(d->dirfd, temporary, name);

        return renameat(d->dirfd, temporary, d->dirfd, name) < 0 ? -errno : 0;
}

static void definitions_explain_file(Definitions *d, const char *uuid, int r, VgpudError *reterr)
{
        if (r == -EEXIST)
                vgpud_error_hintf(
                                reterr, VGPUD_HINT_REMOVE_BY_HAND,
                                "move the file %s/%s.json away; if it is newer than the start of vgpud, a restart reads it",
                                d->folder, uuid);
        else if (r == -EISDIR)
                vgpud_error_hintf(reterr, VGPUD_HINT_REMOVE_BY_HAND,
                                  "move %s/%s.json away, because it is a folder", d->folder, uuid);
        else
                log_error_errno(r, "Cannot change the file of definition %s: %m", uuid);
}

static int definitions_fail_write(Definitions *d, const char *uuid, int r, VgpudError *reterr)
{
        int result = vgpud_error_set_errnof(reterr, VGPUD_ERROR_FAILED, r,
                                            "definition %s cannot be written: %s", uuid,
                                            r == -EEXIST ? "another file has its name" : g_strerror(-r));

        definitions_explain_file(d, uuid, r, reterr);

        return result;
}

int definitions_put(Definitions *d, const Definition *definition, VgpudError *reterr)
{
        int r;

        assert_main_thread();
        g_assert(uuid_is_valid(definition->uuid));

        r = definition_check(definition, reterr);
        if (r >= 0)
                r = definitions_follow_folder(d, reterr);
        if (r < 0)
                return r;

        r = definitions_write(d, definition, true);
        if (r < 0)
                return definitions_fail_write(d, definition->uuid, r, reterr);

        r = definitions_publish(d, definition, definitions_get(d, definition->uuid) != NULL);
        if (r < 0) {
                definitions_remove_written(d, definition);
                return definitions_fail_write(d, definition->uuid, r, reterr);
        }

        definitions_sync_folder(d);
        definitions_keep(d, definition_copy(definition));

        return 0;
}

/* Remove the first `count` files again. They are new, so no earlier content is lost. */
static void definitions_unpublish(Definitions *d, const GPtrArray *definitions, guint count)
{
        g_assert(count <= definitions->len);

        for (guint i = 0; i < count; i++) {
                const Definition *definition = definitions->pdata[i];
                g_autofree char *name = definitions_file_name(definition->uuid);

                if (unlinkat(d->dirfd, name, 0) < 0)
                        log_error_errno(-errno, "Cannot remove the file of definition %s again: %m",
                                        definition->uuid);
        }

        definitions_sync_folder(d);
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

        if (together && syncfs(d->dirfd) < 0) {
                *ret_r = -errno;
                return definitions->pdata[0];
        }

        for (guint i = 0; i < definitions->len; i++) {
                *ret_r = definitions_publish(d, definitions->pdata[i], false);
                if (*ret_r < 0) {
                        definitions_unpublish(d, definitions, i);
                        return definitions->pdata[i];
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

        r = definitions_follow_folder(d, reterr);
        if (r < 0)
                return r;

        failed = definitions_write_many(d, definitions, &r);
        if (failed) {
                for (guint i = 0; i < definitions->len; i++)
                        definitions_remove_written(d, definitions->pdata[i]);
                return definitions_fail_write(d, failed->uuid, r, reterr);
        }

        definitions_sync_folder(d);
        for (guint i = 0; i < definitions->len; i++)
                definitions_keep(d, definition_copy(definitions->pdata[i]));

        return 0;
}

int definitions_remove(Definitions *d, const char *uuid, VgpudError *reterr)
{
        g_autofree char *name = definitions_file_name(uuid);
        int r;

        assert_main_thread();
        g_assert(uuid_is_valid(uuid));

        r = definitions_follow_folder(d, reterr);
        if (r < 0)
                return r;

        /* An administrator may have removed the file. */
        if (unlinkat(d->dirfd, name, 0) < 0 && errno != ENOENT) {
                int error = -errno;

                r = vgpud_error_set_errnof(reterr, VGPUD_ERROR_FAILED, error,
                                           "definition %s cannot be removed: %s", uuid, g_strerror(-error));
                definitions_explain_file(d, uuid, error, reterr);

                return r;
        }

        definitions_sync_folder(d);
        definitions_forget(d, uuid);

        return 0;
}
