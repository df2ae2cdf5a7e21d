/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The FUSE side of the tree; see fs.h. */

#define FUSE_USE_VERSION 312

#include "simhost/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "simhost/fault.h"

/* Time for which the kernel may cache names and attributes. A long time is safe: tree_unlock() invalidates
 * names that vanish, missing names are never cached, and neither are contents. Without the cache a path of nine
 * names would cost nine round trips. */
#define CACHE_SECONDS 86400.0

/* Each hanging request keeps a thread. */
#define THREADS_MAX 4096

/* sysfs reports this size for all attributes. */
#define ATTRIBUTE_SIZE 4096

/* Limit of the write log in bytes, so that a long benchmark does not fill the memory. */
#define WRITE_LOG_MAX (4U * 1024 * 1024)

typedef struct Mount {
        struct fuse_session *session;
        Node *root;
        GThread *thread;
} Mount;

/* An open file or directory. */
typedef struct Handle {
        Node *node; /* referenced */
        char *path; /* path of the node at open */
        GString *content;
        GPtrArray *entries; /* directories: referenced nodes as of opendir() */
        pid_t opener;       /* process that opened a device node */
        bool released;
        GMutex lock; /* the content, for readers of one descriptor in several threads */
} Handle;

static GPtrArray *mounts;
static GString *write_log;
static GMutex write_log_lock;

static Node *node_of(fuse_req_t request, fuse_ino_t ino)
{
        const Mount *mount = fuse_req_userdata(request);

        return ino == FUSE_ROOT_ID ? mount->root : (Node *)(uintptr_t)ino;
}

static Handle *handle_of(const struct fuse_file_info *info)
{
        return (Handle *)(uintptr_t)info->fh;
}

static void fill_stat(const Node *node, struct stat *ret)
{
        *ret = (struct stat){
                .st_ino = node->serial,
                .st_mode = node->mode,
                .st_nlink = 1,
                .st_uid = geteuid(), /* the user who runs the host plays root */
                .st_gid = getegid(),
                .st_size = S_ISREG(node->mode) ? ATTRIBUTE_SIZE : 0,
                .st_blksize = ATTRIBUTE_SIZE,
                .st_atim = node->created,
                .st_mtim = node->created,
                .st_ctim = node->created,
        };
}

/* True for write-only files such as "create": they get a new inode at each lookup. The kernel locks a FUSE
 * file's inode during a write (always before Linux 6.2), and a create must not wait for a create that hangs. */
static bool wants_alias(const Node *node)
{
        return S_ISREG(node->mode) && !(node->mode & 0444);
}

/* Returns the node that the kernel gets to know. Counts as a lookup: call only for a reply that is sent. */
static Node *fill_entry(Node *node, struct fuse_entry_param *ret)
{
        bool alias = wants_alias(node);
        Node *known = alias ? node_new_alias(node) : node_ref(node);

        *ret = (struct fuse_entry_param){
                .ino = (fuse_ino_t)(uintptr_t)known,
                .attr_timeout = CACHE_SECONDS,
                .entry_timeout = alias ? 0 : CACHE_SECONDS,
        };
        fill_stat(known, &ret->attr);
        known->lookups++;

        return known;
}

static void forget_locked(Node *node, uint64_t lookups)
{
        for (; lookups > 0; lookups--) {
                node->lookups--;
                node_unref(node);
        }
}

static void on_init(void *userdata, struct fuse_conn_info *connection)
{
        /* Links never change their target: a new link is a new node. */
        connection->want |= connection->capable & (FUSE_CAP_CACHE_SYMLINKS | FUSE_CAP_PARALLEL_DIROPS);
        connection->want &= ~(unsigned)FUSE_CAP_AUTO_INVAL_DATA;
}

static void on_lookup(fuse_req_t request, fuse_ino_t parent, const char *name)
{
        struct fuse_entry_param entry;
        Node *directory = node_of(request, parent), *node;

        tree_lock();

        node = directory->removed ? NULL : node_child(directory, name);
        if (node)
                node = fill_entry(node, &entry);
        tree_unlock();

        if (!node) {
                fuse_reply_err(request, ENOENT);
                return;
        }

        if (fuse_reply_entry(request, &entry) < 0) {
                tree_lock();
                forget_locked(node, 1);
                tree_unlock();
        }
}

static void on_forget(fuse_req_t request, fuse_ino_t ino, uint64_t lookups)
{
        if (ino != FUSE_ROOT_ID) {
                tree_lock();
                forget_locked(node_of(request, ino), lookups);
                tree_unlock();
        }

        fuse_reply_none(request);
}

static void on_forget_multi(fuse_req_t request, size_t count, struct fuse_forget_data *forgets)
{
        tree_lock();
        for (size_t i = 0; i < count; i++)
                if (forgets[i].ino != FUSE_ROOT_ID)
                        forget_locked(node_of(request, forgets[i].ino), forgets[i].nlookup);

        tree_unlock();
        fuse_reply_none(request);
}

static void on_getattr(fuse_req_t request, fuse_ino_t ino, struct fuse_file_info *info)
{
        struct stat attributes;

        tree_lock();
        fill_stat(node_of(request, ino), &attributes);
        tree_unlock();
        fuse_reply_attr(request, &attributes, CACHE_SECONDS);
}

/* Truncation (a shell's ">") changes nothing, as in sysfs. */
static void on_setattr(fuse_req_t request, fuse_ino_t ino, struct stat *wanted, int what,
                       struct fuse_file_info *info)
{
        if (what & ~(FUSE_SET_ATTR_SIZE | FUSE_SET_ATTR_MTIME | FUSE_SET_ATTR_MTIME_NOW | FUSE_SET_ATTR_CTIME |
                     FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_ATIME_NOW)) {
                fuse_reply_err(request, EPERM);
                return;
        }

        on_getattr(request, ino, info);
}

static void on_readlink(fuse_req_t request, fuse_ino_t ino)
{
        g_autofree char *target = NULL;

        tree_lock();
        target = g_strdup(node_of(request, ino)->text);
        tree_unlock();
        fuse_reply_readlink(request, target);
}

static Handle *handle_new(Node *node)
{
        Handle *handle = g_new0(Handle, 1);

        handle->node = node_ref(node);
        g_mutex_init(&handle->lock);

        return handle;
}

static void handle_free(Handle *handle)
{
        tree_lock();
        if (handle->entries)
                for (guint i = 0; i < handle->entries->len; i++)
                        node_unref(handle->entries->pdata[i]);

        node_unref(handle->node);
        tree_unlock();

        if (handle->entries)
                g_ptr_array_free(handle->entries, TRUE);
        if (handle->content)
                g_string_free(handle->content, TRUE);
        g_mutex_clear(&handle->lock);
        g_free(handle->path);
        g_free(handle);
}

static void on_opendir(fuse_req_t request, fuse_ino_t ino, struct fuse_file_info *info)
{
        Node *node = node_of(request, ino);
        Handle *handle;

        tree_lock();
        handle = handle_new(node);
        handle->entries = g_ptr_array_new();

        if (!node->removed) {
                node_populate(node);
                for (guint i = 0; i < node->children->len; i++)
                        g_ptr_array_add(handle->entries, node_ref(node->children->pdata[i]));
        }

        tree_unlock();

        info->fh = (uintptr_t)handle;

        if (fuse_reply_open(request, info) < 0)
                handle_free(handle);
}

static size_t add_entry(fuse_req_t request, char *buffer, size_t size, Node *node, off_t next, bool plus)
{
        struct fuse_entry_param entry;
        size_t needed;

        if (!plus) {
                struct stat attributes;

                fill_stat(node, &attributes);
                return fuse_add_direntry(request, buffer, size, node->name, &attributes, next);
        }

        node = fill_entry(node, &entry);
        needed = fuse_add_direntry_plus(request, buffer, size, node->name, &entry, next);
        if (needed > size)
                forget_locked(node, 1);

        return needed;
}

/* Offset 0 is ".", 1 "..", then the entries as of opendir(), without entries removed since. */
static void read_directory(fuse_req_t request, size_t size, off_t offset, struct fuse_file_info *info,
                           bool plus)
{
        static const char *const dots[] = { ".", ".." };
        const Handle *handle = handle_of(info);
        g_autofree char *buffer = g_malloc(size);
        size_t used = 0;

        tree_lock();

        for (;; offset++) {
                size_t needed;

                if (offset < 2) {
                        struct fuse_entry_param entry = { .attr = { .st_mode = S_IFDIR } };

                        needed = plus ? fuse_add_direntry_plus(request, buffer + used, size - used,
                                                               dots[offset], &entry, offset + 1)
                                      : fuse_add_direntry(request, buffer + used, size - used, dots[offset],
                                                          &entry.attr, offset + 1);
                } else {
                        Node *node;

                        if (offset - 2 >= (off_t)handle->entries->len)
                                break;

                        node = handle->entries->pdata[offset - 2];
                        if (node->removed)
                                continue;

                        needed = add_entry(request, buffer + used, size - used, node, offset + 1, plus);
                }

                if (needed > size - used)
                        break;

                used += needed;
        }

        tree_unlock();
        fuse_reply_buf(request, buffer, used);
}

static void on_readdir(fuse_req_t request, fuse_ino_t ino, size_t size, off_t offset,
                       struct fuse_file_info *info)
{
        read_directory(request, size, offset, info, false);
}

static void on_readdirplus(fuse_req_t request, fuse_ino_t ino, size_t size, off_t offset,
                           struct fuse_file_info *info)
{
        read_directory(request, size, offset, info, true);
}

static void on_releasedir(fuse_req_t request, fuse_ino_t ino, struct fuse_file_info *info)
{
        handle_free(handle_of(info));
        fuse_reply_err(request, 0);
}

/* Returns the process of a thread. FUSE reports the thread that makes a request. */
static pid_t process_of(pid_t thread)
{
        g_autofree char *path = g_strdup_printf("/proc/%d/status", thread), *status = NULL;
        const char *line;

        if (!g_file_get_contents(path, &status, NULL, NULL))
                return thread;

        line = strstr(status, "\nTgid:");

        return line ? (pid_t)g_ascii_strtoll(line + strlen("\nTgid:"), NULL, 10) : thread;
}

static int open_locked(Node *node, int flags, Handle *handle)
{
        int access_mode = flags & O_ACCMODE;

        if (node->removed)
                return -ENOENT;

        /* sysfs refuses even root if the mode has no bit for the access. */
        if (access_mode != O_RDONLY && !(node->mode & 0222))
                return -EACCES;
        if (access_mode != O_WRONLY && !(node->mode & 0444))
                return -EACCES;

        return node->ops && node->ops->open ? node->ops->open(node, handle) : 0;
}

static void on_open(fuse_req_t request, fuse_ino_t ino, struct fuse_file_info *info)
{
        Node *known = node_of(request, ino), *node = known->original ? known->original : known;
        bool is_device = node->ops && node->ops->release;
        Handle *handle;
        int r;

        tree_lock();
        handle = handle_new(node);
        handle->path = node_path(node);
        tree_unlock();

        r = fault_apply(FAULT_OPEN, handle->path);

        if (is_device)
                handle->opener = process_of(fuse_req_ctx(request)->pid);
        if (r == 0) {
                tree_lock();
                r = open_locked(node, info->flags, handle);
                tree_unlock();
        }

        if (r < 0) {
                handle->released = true;
                handle_free(handle);
                fuse_reply_err(request, -r);
                return;
        }

        info->fh = (uintptr_t)handle;
        info->direct_io = 1;
        info->noflush = !is_device;

        if (fuse_reply_open(request, info) < 0)
                handle_free(handle);
}

static void release_device(Handle *handle)
{
        tree_lock();
        if (!handle->released) {
                handle->released = true;
                if (handle->node->ops && handle->node->ops->release)
                        handle->node->ops->release(handle->node, handle);
        }

        tree_unlock();
}

/* True if the process still has a file of this name open, by a duplicated descriptor. */
static bool has_open(pid_t process, const char *path)
{
        g_autofree char *directory_path = g_strdup_printf("/proc/%d/fd", process);
        GDir *directory = g_dir_open(directory_path, 0, NULL);
        const char *name;
        bool found = false;

        while (directory && !found && (name = g_dir_read_name(directory))) {
                g_autofree char *link = g_build_filename(directory_path, name, NULL),
                                *target = g_file_read_link(link, NULL);

                found = target && g_str_has_suffix(target, path);
        }

        if (directory)
                g_dir_close(directory);

        return found;
}

/* A device node must be free as soon as the last close(2) returns. The kernel sends "release" only later, but
 * "flush" before each close(2) returns. A close by a forked child of the opener does not free the node. */
static void on_flush(fuse_req_t request, fuse_ino_t ino, struct fuse_file_info *info)
{
        Handle *handle = handle_of(info);
        g_autofree char *path = NULL;

        if (handle->opener > 0 && process_of(fuse_req_ctx(request)->pid) == handle->opener) {
                tree_lock();
                path = node_path(handle->node);
                tree_unlock();

                if (!has_open(handle->opener, path))
                        release_device(handle);
        }

        fuse_reply_err(request, 0);
}

static void on_release(fuse_req_t request, fuse_ino_t ino, struct fuse_file_info *info)
{
        Handle *handle = handle_of(info);

        release_device(handle);
        handle_free(handle);
        fuse_reply_err(request, 0);
}

/* The content is made when a reader is at the beginning, and kept for the rest of the reading. */
static int fill_content(Handle *handle)
{
        Node *node = handle->node;
        g_autofree char *path = NULL;
        int r;

        tree_lock();
        path = node_path(node);
        r = node->removed ? -ENODEV : 0;
        tree_unlock();

        if (r == 0)
                r = fault_apply(FAULT_READ, path);
        if (r < 0)
                return r;

        if (!handle->content)
                handle->content = g_string_new(NULL);
        g_string_truncate(handle->content, 0);

        tree_lock();

        if (node->removed)
                r = -ENODEV;
        else if (node->text)
                g_string_append(handle->content, node->text);
        else if (node->ops && node->ops->show)
                r = node->ops->show(node, handle->content);
        else
                r = -EIO;

        tree_unlock();

        return r;
}

static void on_read(fuse_req_t request, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *info)
{
        Handle *handle = handle_of(info);
        g_autofree char *part = NULL;
        gsize length = 0;
        int r = 0;

        g_mutex_lock(&handle->lock);
        if (offset == 0 || !handle->content)
                r = fill_content(handle);
        if (r == 0 && (gsize)offset < handle->content->len) {
                length = MIN(size, handle->content->len - (gsize)offset);
                part = g_memdup2(handle->content->str + offset, length);
        }

        g_mutex_unlock(&handle->lock);

        /* The handle may be closed as soon as the reader has its answer. */
        if (r < 0)
                fuse_reply_err(request, -r);
        else
                fuse_reply_buf(request, part, length);
}

/* Escapes quotes, backslashes and bytes that are not printable ASCII, so that a write is one line. */
static char *fs_escape(const char *bytes, size_t size)
{
        GString *text = g_string_sized_new(size);

        for (size_t i = 0; i < size; i++)
                if (bytes[i] == '\n')
                        g_string_append(text, "\\n");
                else if (bytes[i] == '"' || bytes[i] == '\\')
                        g_string_append_printf(text, "\\%c", bytes[i]);
                else if (g_ascii_isprint(bytes[i]))
                        g_string_append_c(text, bytes[i]);
                else
                        g_string_append_printf(text, "\\%03o", (unsigned char)bytes[i]);

        return g_string_free(text, FALSE);
}

static void log_write(const char *path, const char *bytes, size_t size, int result)
{
        g_autofree char *escaped = fs_escape(bytes, size);

        g_mutex_lock(&write_log_lock);

        if (write_log->len < WRITE_LOG_MAX)
                g_string_append_printf(write_log, "%s %s %s\n", result < 0 ? fault_errno_name(-result) : "ok",
                                       path, escaped);

        g_mutex_unlock(&write_log_lock);
}

void fs_append_write_log(GString *text, bool clear)
{
        g_mutex_lock(&write_log_lock);
        g_string_append_len(text, write_log->str, (gssize)write_log->len);

        if (clear)
                g_string_truncate(write_log, 0);
        g_mutex_unlock(&write_log_lock);
}

static int fs_store(Node *node, const char *value, size_t size)
{
        int r = -EIO;

        tree_lock();

        if (node->removed)
                r = -ENODEV;
        else if (node->ops && node->ops->store_locked)
                r = node->ops->store_locked(node, value, size);
        else if (node->ops && node->ops->store) {
                tree_unlock();
                return node->ops->store(node, value, size);
        }

        tree_unlock();

        return r;
}

static void on_write(fuse_req_t request, fuse_ino_t ino, const char *bytes, size_t size, off_t offset,
                     struct fuse_file_info *info)
{
        const Handle *handle = handle_of(info);
        g_autofree char *value = g_strndup(bytes, size);
        int r = fault_apply(FAULT_WRITE, handle->path);

        if (r == 0)
                r = fs_store(handle->node, value, size);
        log_write(handle->path, bytes, size, r);

        if (r < 0)
                fuse_reply_err(request, -r);
        else
                fuse_reply_write(request, size);
}

static void on_create(fuse_req_t request, fuse_ino_t parent, const char *name, mode_t mode,
                      struct fuse_file_info *info)
{
        fuse_reply_err(request, EACCES);
}

static void on_mknod(fuse_req_t request, fuse_ino_t parent, const char *name, mode_t mode, dev_t device)
{
        fuse_reply_err(request, EACCES);
}

static void on_mkdir(fuse_req_t request, fuse_ino_t parent, const char *name, mode_t mode)
{
        fuse_reply_err(request, EPERM);
}

static void on_unlink(fuse_req_t request, fuse_ino_t parent, const char *name)
{
        fuse_reply_err(request, EPERM);
}

static const struct fuse_lowlevel_ops operations = {
        .init = on_init,
        .lookup = on_lookup,
        .forget = on_forget,
        .forget_multi = on_forget_multi,
        .getattr = on_getattr,
        .setattr = on_setattr,
        .readlink = on_readlink,
        .opendir = on_opendir,
        .readdir = on_readdir,
        .readdirplus = on_readdirplus,
        .releasedir = on_releasedir,
        .open = on_open,
        .flush = on_flush,
        .release = on_release,
        .read = on_read,
        .write = on_write,
        .create = on_create,
        .mknod = on_mknod,
        .mkdir = on_mkdir,
        .unlink = on_unlink,
        .rmdir = on_unlink,
};

static void forget_name(Node *parent, const char *name)
{
        for (guint i = 0; i < mounts->len; i++) {
                const Mount *mount = mounts->pdata[i];
                fuse_ino_t ino = parent == mount->root ? FUSE_ROOT_ID : (fuse_ino_t)(uintptr_t)parent;

                /* A session that has not looked up the directory returns an error, which is harmless. */
                (void)fuse_lowlevel_notify_inval_entry(mount->session, ino, name, strlen(name));
        }
}

static void *fs_serve(void *data)
{
        const Mount *mount = data;
        struct fuse_loop_config *config = fuse_loop_cfg_create();

        fuse_loop_cfg_set_clone_fd(config, 0);
        fuse_loop_cfg_set_max_threads(config, THREADS_MAX);
        fuse_loop_cfg_set_idle_threads(config, 8);
        (void)fuse_session_loop_mt(mount->session, config);
        fuse_loop_cfg_destroy(config);

        return NULL;
}

int fs_mount(Node *root, const char *mount_point, bool everyone)
{
        char *arguments[] = { (char *)"simhost", (char *)"-o",
                              (char *)(everyone ? "default_permissions,fsname=simhost,allow_other"
                                                : "default_permissions,fsname=simhost"),
                              NULL };
        struct fuse_args fuse_arguments = FUSE_ARGS_INIT(3, arguments);
        Mount *mount = g_new0(Mount, 1);

        if (!mounts) {
                mounts = g_ptr_array_new();
                write_log = g_string_new(NULL);
                tree_set_forget(forget_name);
        }

        mount->root = root;
        mount->session = fuse_session_new(&fuse_arguments, &operations, sizeof(operations), mount);
        if (!mount->session) {
                g_free(mount);
                return -EINVAL;
        }

        if (fuse_session_mount(mount->session, mount_point) < 0) {
                fuse_session_destroy(mount->session);
                g_free(mount);
                return -EPERM; /* libfuse has printed the reason */
        }

        g_ptr_array_add(mounts, mount);
        mount->thread = g_thread_new("fuse", fs_serve, mount);

        return 0;
}

void fs_unmount_all(void)
{
        if (!mounts)
                return;

        for (guint i = mounts->len; i > 0; i--) {
                const Mount *mount = mounts->pdata[i - 1];

                fuse_session_exit(mount->session);
                fuse_session_unmount(mount->session);
        }
}
