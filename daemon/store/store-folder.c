/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "daemon/store/store-folder.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fs-util.h"
#include "base/log-ids.h"
#include "base/log.h"
#include "base/text.h"
#include "base/thread.h"

#define DAMAGED_SUFFIX ".damaged"
#define FILE_MODE      0600
/* Limits of reports and of files set aside under one name: the folder may have any number of files. */
#define ERRORS_MAX  256U
#define DAMAGED_MAX 1000U

struct StoreFolder {
        const StoreFolderInfo *info;
        int dirfd;             /* owned; a negative errno if the folder cannot be read */
        char *state_directory; /* owned */
        char *path;            /* owned */
        GPtrArray *errors;     /* owned: char * */
        guint more_errors;     /* errors beyond ERRORS_MAX */
};

const GPtrArray *store_folder_errors(const StoreFolder *f)
{
        assert_main_thread();

        return f->errors;
}

void store_folder_report(StoreFolder *f, const char *format, ...)
{
        va_list ap;

        if (f->errors->len >= ERRORS_MAX) {
                f->more_errors++;
                return;
        }

        va_start(ap, format);
        g_autofree char *text = g_strdup_vprintf(format, ap);
        va_end(ap);

        LOG_FIELDS(LOG_ERR, (.message_id = VGPUD_MESSAGE_DEFINITION_FAULT), "Fault in the %s: %s",
                   f->info->objects, text);
        g_ptr_array_add(f->errors, text_clean(g_steal_pointer(&text), TEXT_MESSAGE_MAX));
}

/* ---- names of files ---- */

static char *folder_file_name(const char *name)
{
        return g_strconcat(name, STORE_FILE_SUFFIX, NULL);
}

/* The name of the object of a file; NULL: the name of the file is not one that vgpud writes. */
static char *folder_parse_file_name(const StoreFolder *f, const char *file)
{
        g_autofree char *name = NULL;

        if (!g_str_has_suffix(file, STORE_FILE_SUFFIX))
                return NULL;

        name = g_strndup(file, strlen(file) - strlen(STORE_FILE_SUFFIX));

        return f->info->name_is_valid(name) ? g_steal_pointer(&name) : NULL;
}

static bool folder_is_set_aside(const char *file)
{
        const char *suffix = g_strrstr(file, STORE_FILE_SUFFIX DAMAGED_SUFFIX);

        if (!suffix)
                return false;

        suffix += strlen(STORE_FILE_SUFFIX DAMAGED_SUFFIX);
        if (suffix[0] == '.' && g_ascii_isdigit(suffix[1]))
                suffix += 1 + strspn(suffix + 1, "0123456789");

        return !*suffix;
}

/* True if the name is that of a temporary file, which a killed daemon has left. */
static bool folder_is_temporary(const StoreFolder *f, const char *file)
{
        const char *end = g_strrstr(file, STORE_FILE_SUFFIX);
        g_autofree char *beginning = NULL, *name = NULL, *temporary = NULL;

        if (!end || file[0] != '.')
                return false;

        beginning = g_strndup(file + 1, (size_t)(end - file) - 1 + strlen(STORE_FILE_SUFFIX));
        name = folder_parse_file_name(f, beginning);
        temporary = fs_temporary_name(beginning);

        return name && strcmp(temporary, file) == 0;
}

/* ---- start ---- */

static void folder_set_aside(StoreFolder *f, const char *name, const char *why)
{
        g_autofree char *target = g_strconcat(name, DAMAGED_SUFFIX, NULL);
        int r = fs_rename_new_at(f->dirfd, name, target);

        for (guint i = 1; r == -EEXIST && i < DAMAGED_MAX; i++) {
                g_free(target);
                target = g_strdup_printf("%s%s.%u", name, DAMAGED_SUFFIX, i);
                r = fs_rename_new_at(f->dirfd, name, target);
        }

        if (r < 0)
                store_folder_report(f, "file %s is damaged and cannot be renamed to %s (%s): %s",
                                    TEXT_QUOTE(name), TEXT_QUOTE(target), g_strerror(-r), why);
        else
                store_folder_report(f, "file %s was damaged and is %s now: %s", TEXT_QUOTE(name),
                                    TEXT_QUOTE(target), why);
}

/* Errors: INVALID: the file is damaged; FAILED: it cannot be read now. */
static int folder_read(StoreFolder *f, const char *file, char **ret, size_t *ret_size, VgpudError *reterr)
{
        struct stat st;
        int r;

        /* Do not open other kinds of files: opening a device node may have an effect. */
        r = fstatat(f->dirfd, file, &st, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
        if (r >= 0 && !S_ISREG(st.st_mode))
                return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID, "it is not a regular file");

        if (r >= 0)
                r = fs_read_file_at(f->dirfd, file, f->info->max_size, ret, ret_size);
        if (r == -EFBIG)
                return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID, "it has more than %zu bytes",
                                        f->info->max_size);
        if (r < 0)
                return vgpud_error_set_errnof(reterr, VGPUD_ERROR_FAILED, r, "%s", g_strerror(-r));

        return 0;
}

static void folder_load_file(StoreFolder *f, const char *file, void *userdata)
{
        _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;
        g_autofree char *name = folder_parse_file_name(f, file), *text = NULL;
        size_t size;
        int r;

        if (!name) {
                g_autofree char *why = g_strdup_printf("its name is not %s with " STORE_FILE_SUFFIX,
                                                       f->info->valid_names);

                folder_set_aside(f, file, why);
                return;
        }

        r = folder_read(f, file, &text, &size, &e);
        if (r >= 0)
                r = f->info->load(name, text, size, userdata, &e);
        if (r >= 0)
                return;

        if (e.code == VGPUD_ERROR_INVALID)
                folder_set_aside(f, file, e.message);
        else if (e.errnum != ENOENT)
                store_folder_report(f, "file %s cannot be read: %s", file, e.message);
}

static int folder_load_all(StoreFolder *f, void *userdata)
{
        g_auto(GStrv) files = NULL;
        int r;

        r = fs_list_at(f->dirfd, ".", &files);
        if (r < 0)
                return r;

        for (char **n = files; *n; n++) {
                if (folder_is_temporary(f, *n))
                        (void)unlinkat(f->dirfd, *n, 0);
                else if ((*n)[0] == '.')
                        continue;
                else if (folder_is_set_aside(*n))
                        store_folder_report(f, "file %s was damaged at an earlier start", TEXT_QUOTE(*n));
                else if (g_str_has_suffix(*n, STORE_FILE_SUFFIX))
                        folder_load_file(f, *n, userdata);
                else
                        log_debug("Ignoring %s in the folder of %s", TEXT_QUOTE(*n), f->info->objects);
        }

        return 0;
}

/* Opens or creates the folder. -ELOOP: it is a symbolic link, which openat() reports as ENOTDIR. */
static int folder_open(StoreFolder *f)
{
        _cleanup_close_ int state_fd = fs_open_directory(f->state_directory, 0755);
        struct stat st;
        int fd;

        if (state_fd < 0)
                return state_fd;

        fd = fs_open_directory_at(state_fd, f->info->name, 0700);
        if (fd == -ENOTDIR && fstatat(state_fd, f->info->name, &st, AT_SYMLINK_NOFOLLOW) >= 0 &&
            S_ISLNK(st.st_mode))
                return -ELOOP;

        return fd;
}

static const char *folder_explain(int r)
{
        return r == -ELOOP ? "a symbolic link is refused here" : g_strerror(-r);
}

StoreFolder *store_folder_new(const StoreFolderInfo *info, const char *state_directory)
{
        StoreFolder *f = g_new0(StoreFolder, 1);

        assert_main_thread();

        f->info = info;
        f->errors = g_ptr_array_new_with_free_func(g_free);
        f->state_directory = g_strdup(state_directory);
        f->path = g_build_filename(state_directory, info->name, NULL);
        f->dirfd = folder_open(f);

        return f;
}

void store_folder_load(StoreFolder *f, void *userdata)
{
        int r;

        assert_main_thread();

        r = f->dirfd < 0 ? f->dirfd : folder_load_all(f, userdata);
        if (r < 0) {
                store_folder_report(f, "folder %s could not be read at the start: %s", f->path,
                                    folder_explain(r));
                (void)safe_close(f->dirfd);
                f->dirfd = r;
        }

        if (f->more_errors > 0)
                g_ptr_array_add(f->errors, g_strdup_printf("%u more files have faults", f->more_errors));
}

StoreFolder *store_folder_free(StoreFolder *f)
{
        assert_main_thread();

        if (!f)
                return NULL;

        (void)safe_close(f->dirfd);
        g_free(f->state_directory);
        g_free(f->path);
        g_ptr_array_unref(f->errors);
        g_free(f);

        return NULL;
}

/* ---- changes ---- */

static bool folder_is_same(StoreFolder *f)
{
        struct stat opened, now;

        return f->dirfd >= 0 && fstat(f->dirfd, &opened) >= 0 && lstat(f->path, &now) >= 0 &&
               opened.st_dev == now.st_dev && opened.st_ino == now.st_ino;
}

static int folder_fail(StoreFolder *f, int r, VgpudError *reterr)
{
        int result = vgpud_error_set_errnof(reterr, VGPUD_ERROR_FAILED, r, "folder %s cannot be opened: %s",
                                            f->path, folder_explain(r));

        if (r == -ELOOP)
                vgpud_error_hintf(reterr, VGPUD_HINT_REMOVE_BY_HAND,
                                  "replace the link %s with a folder; a bind mount can put it on another disk",
                                  f->path);
        else if (r == -ENOTDIR)
                vgpud_error_hintf(reterr, VGPUD_HINT_REMOVE_BY_HAND, "replace %s with a folder", f->path);
        else
                log_error_errno(r, "Cannot open folder %s: %m", f->path);

        return result;
}

/* Called before each change: an administrator may have removed or replaced the folder, or repaired a folder
 * that could not be opened. The objects in memory stay: only the model removes objects, because the model
 * announces each removal. */
int store_folder_follow(StoreFolder *f, VgpudError *reterr)
{
        int fd;

        if (folder_is_same(f))
                return 0;

        fd = folder_open(f);
        if (fd >= 0)
                store_folder_report(
                                f,
                                "folder %s was opened after the start: vgpud has not read its files, and the earlier %s are only in memory",
                                f->path, f->info->objects);
        else if (f->dirfd >= 0)
                store_folder_report(f, "folder %s was replaced and cannot be opened: %s", f->path,
                                    folder_explain(fd));

        (void)safe_close(f->dirfd);
        f->dirfd = fd;

        return fd < 0 ? folder_fail(f, fd, reterr) : 0;
}

void store_folder_sync(StoreFolder *f)
{
        if (fsync(f->dirfd) < 0)
                log_warning_errno(-errno, "Cannot sync the folder of %s: %m", f->info->objects);
}

int store_folder_sync_all(StoreFolder *f)
{
        return syncfs(f->dirfd) < 0 ? -errno : 0;
}

int store_folder_write(StoreFolder *f, const char *name, const char *text, size_t size, bool sync)
{
        g_autofree char *file = folder_file_name(name);

        g_assert(f->info->name_is_valid(name));

        return fs_write_temporary_at(f->dirfd, file, text, size, FILE_MODE, sync);
}

void store_folder_remove_written(StoreFolder *f, const char *name)
{
        g_autofree char *file = folder_file_name(name), *temporary = fs_temporary_name(file);

        (void)unlinkat(f->dirfd, temporary, 0);
}

int store_folder_publish(StoreFolder *f, const char *name, bool replace)
{
        g_autofree char *file = folder_file_name(name), *temporary = fs_temporary_name(file);

        if (!replace)
                return fs_rename_new_at(f->dirfd, temporary, file);

        return renameat(f->dirfd, temporary, f->dirfd, file) < 0 ? -errno : 0;
}

int store_folder_remove(StoreFolder *f, const char *name)
{
        g_autofree char *file = folder_file_name(name);

        return unlinkat(f->dirfd, file, 0) < 0 && errno != ENOENT ? -errno : 0;
}

int store_folder_fail(StoreFolder *f, const char *name, const char *change, int r, VgpudError *reterr)
{
        int result = vgpud_error_set_errnof(reterr, VGPUD_ERROR_FAILED, r, "%s %s cannot be %s: %s",
                                            f->info->object, name, change,
                                            r == -EEXIST ? "another file has its name" : g_strerror(-r));

        if (r == -EEXIST)
                vgpud_error_hintf(
                                reterr, VGPUD_HINT_REMOVE_BY_HAND,
                                "move the file %s/%s.json away; if it is newer than the start of vgpud, a restart reads it",
                                f->path, name);
        else if (r == -EISDIR)
                vgpud_error_hintf(reterr, VGPUD_HINT_REMOVE_BY_HAND,
                                  "move %s/%s.json away, because it is a folder", f->path, name);
        else
                log_error_errno(r, "Cannot change the file of %s %s: %m", f->info->object, name);

        return result;
}
