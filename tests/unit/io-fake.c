/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "io-fake.h"

#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

typedef enum FileKind {
        FILE_DIRECTORY,
        FILE_TEXT,
        FILE_ATTRIBUTE,
        FILE_LINK,
} FileKind;

typedef struct File {
        FileKind kind;
        char *text; /* owned: content of a text, target of a link as the link shows it */
        bool drops_last_byte;
        GHashTable *names; /* owned: names in a directory */
        FakeShow show;
        FakeStore store;
        void *data;
        uint64_t serial;
} File;

typedef struct Node {
        int pid;       /* process that has the node open; 0: none; -1: a process that /proc hides */
        char *command; /* owned */
        int keep_fd;   /* write end of a pipe; open_group() gave out the read end; -EBADF: not yet */
} Node;

typedef struct Fault {
        FakeHook hook; /* NULL: none */
        void *data;
        int before, after; /* errno returned instead of the operation, or after it; 0: none */
        bool hang;
} Fault;

struct FakeKernel {
        pthread_mutex_t lock;
        pthread_cond_t changed;
        GHashTable *files;  /* path -> File */
        GHashTable *nodes;  /* "vfio/12" -> Node */
        GHashTable *faults; /* "op path" -> Fault */
        GHashTable *counts; /* op -> number */
        GString *writes;
        struct {
                FakeProgram run;
                void *data;
        } programs[_VGPU_PROGRAM_MAX];
        void (*paused)(FakeKernel *k, void *data);
        void *paused_data;
        unsigned hanging; /* threads that hang now */
        bool processes_denied;
        uint64_t last_serial;
        char *aliases;     /* owned; NULL: no such file */
        char *definitions; /* owned; NULL: none */
};

typedef struct FakeIo {
        VgpuIo io;
        FakeKernel *k;
} FakeIo;

static void file_free(gpointer p)
{
        File *f = p;

        g_free(f->text);
        g_clear_pointer(&f->names, g_hash_table_unref);
        g_free(f);
}

static void node_free(gpointer p)
{
        Node *n = p;

        safe_close(n->keep_fd);
        g_free(n->command);
        g_free(n);
}

FakeKernel *fake_kernel_new(void)
{
        FakeKernel *k = g_new0(FakeKernel, 1);

        pthread_mutex_init(&k->lock, NULL);
        pthread_cond_init(&k->changed, NULL);
        k->files = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, file_free);
        k->nodes = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, node_free);
        k->faults = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
        k->counts = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        k->writes = g_string_new(NULL);

        return k;
}

FakeKernel *fake_kernel_free(FakeKernel *k)
{
        if (!k)
                return NULL;

        g_hash_table_unref(k->files);
        g_hash_table_unref(k->nodes);
        g_hash_table_unref(k->faults);
        g_hash_table_unref(k->counts);
        g_string_free(k->writes, TRUE);
        g_free(k->aliases);
        g_free(k->definitions);
        pthread_cond_destroy(&k->changed);
        pthread_mutex_destroy(&k->lock);
        g_free(k);

        return NULL;
}

/* ---- the tree ---- */

static void add(FakeKernel *k, const char *path, const File *f)
{
        const char *slash = strrchr(path, '/');
        File *old = g_hash_table_lookup(k->files, path);

        g_assert(vgpu_io_path_is_valid(path));

        if (slash) {
                g_autofree char *parent = g_strndup(path, (gsize)(slash - path));
                File *folder;

                if (!g_hash_table_contains(k->files, parent))
                        add(k, parent, &(File){ .kind = FILE_DIRECTORY });

                folder = g_hash_table_lookup(k->files, parent);
                if (folder->names)
                        g_hash_table_add(folder->names, g_strdup(slash + 1));
        }

        File *copy = g_memdup2(f, sizeof(*f));
        if (f->kind == FILE_DIRECTORY)
                copy->names = old && old->names ? g_steal_pointer(&old->names)
                                                : g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        copy->serial = ++k->last_serial;
        g_hash_table_replace(k->files, g_strdup(path), copy);
}

static bool is_below(const char *path, const char *directory)
{
        size_t n = strlen(directory);

        return strncmp(path, directory, n) == 0 && path[n] == '/';
}

/* Look the path up like openat2(2) with RESOLVE_NO_SYMLINKS. The caller holds the lock. */
static int find(FakeKernel *k, const char *path, File **ret)
{
        const char *slash = path;
        File *f;

        while ((slash = strchr(slash, '/'))) {
                g_autofree char *above = g_strndup(path, (gsize)(slash - path));

                f = g_hash_table_lookup(k->files, above);
                if (!f)
                        return -ENOENT;
                if (f->kind == FILE_LINK)
                        return -ELOOP;
                if (f->kind != FILE_DIRECTORY)
                        return -ENOTDIR;

                slash++;
        }

        f = g_hash_table_lookup(k->files, path);
        if (!f)
                return -ENOENT;

        *ret = f;

        return 0;
}

static void add_locked(FakeKernel *k, const char *path, const File *f)
{
        pthread_mutex_lock(&k->lock);
        add(k, path, f);
        pthread_mutex_unlock(&k->lock);
}

void fake_add_directory(FakeKernel *k, const char *path)
{
        add_locked(k, path, &(File){ .kind = FILE_DIRECTORY });
}

void fake_add_file(FakeKernel *k, const char *path, const char *text)
{
        add_locked(k, path, &(File){ .kind = FILE_TEXT, .text = g_strdup(text) });
}

void fake_add_parameters(FakeKernel *k, const char *path)
{
        add_locked(k, path, &(File){ .kind = FILE_TEXT, .text = g_strdup("\n"), .drops_last_byte = true });
}

void fake_add_link(FakeKernel *k, const char *path, const char *target)
{
        GString *text = g_string_new(NULL);

        for (const char *p = path; (p = strchr(p, '/')); p++)
                g_string_append(text, "../");
        g_string_append(text, target);
        add_locked(k, path, &(File){ .kind = FILE_LINK, .text = g_string_free(text, FALSE) });
}

void fake_add_attribute(FakeKernel *k, const char *path, FakeShow show, FakeStore store, void *data)
{
        add_locked(k, path, &(File){ .kind = FILE_ATTRIBUTE, .show = show, .store = store, .data = data });
}

void fake_remove(FakeKernel *k, const char *path)
{
        const char *slash = strrchr(path, '/');
        g_autofree char *parent = slash ? g_strndup(path, (gsize)(slash - path)) : NULL;
        File *folder;
        GHashTableIter i;
        gpointer key;

        pthread_mutex_lock(&k->lock);
        folder = parent ? g_hash_table_lookup(k->files, parent) : NULL;
        if (folder && folder->names)
                g_hash_table_remove(folder->names, slash + 1);
        g_hash_table_iter_init(&i, k->files);

        while (g_hash_table_iter_next(&i, &key, NULL))
                if (strcmp(key, path) == 0 || is_below(key, path))
                        g_hash_table_iter_remove(&i);

        pthread_mutex_unlock(&k->lock);
}

bool fake_exists(FakeKernel *k, const char *path)
{
        pthread_mutex_lock(&k->lock);
        bool exists = g_hash_table_contains(k->files, path);
        pthread_mutex_unlock(&k->lock);

        return exists;
}

/* ---- nodes ---- */

void fake_add_node(FakeKernel *k, const char *node)
{
        Node *n = g_new0(Node, 1);

        n->keep_fd = -EBADF;
        pthread_mutex_lock(&k->lock);
        g_hash_table_replace(k->nodes, g_strdup(node), n);
        pthread_mutex_unlock(&k->lock);
}

void fake_remove_node(FakeKernel *k, const char *node)
{
        pthread_mutex_lock(&k->lock);
        g_hash_table_remove(k->nodes, node);
        pthread_mutex_unlock(&k->lock);
}

void fake_hold_node(FakeKernel *k, const char *node, int pid, const char *command)
{
        pthread_mutex_lock(&k->lock);
        Node *n = g_hash_table_lookup(k->nodes, node);
        g_assert(n);
        n->pid = pid;
        g_free(n->command);
        n->command = g_strdup(command);
        pthread_cond_broadcast(&k->changed);
        pthread_mutex_unlock(&k->lock);
}

void fake_hold_node_invisibly(FakeKernel *k, const char *node)
{
        fake_hold_node(k, node, -1, NULL);
}

void fake_deny_processes(FakeKernel *k)
{
        pthread_mutex_lock(&k->lock);
        k->processes_denied = true;
        pthread_mutex_unlock(&k->lock);
}

/* True if the descriptor that open_group() gave out is still open: a closed read end shows as POLLERR. */
static bool node_is_kept(const Node *n)
{
        struct pollfd p = { .fd = n->keep_fd };

        return n->keep_fd >= 0 && poll(&p, 1, 0) >= 0 && !(p.revents & POLLERR);
}

bool fake_node_is_kept(FakeKernel *k, const char *node)
{
        pthread_mutex_lock(&k->lock);
        const Node *n = g_hash_table_lookup(k->nodes, node);
        bool kept = n && node_is_kept(n);
        pthread_mutex_unlock(&k->lock);

        return kept;
}

bool fake_node_is_held(FakeKernel *k, const char *node)
{
        pthread_mutex_lock(&k->lock);
        const Node *n = g_hash_table_lookup(k->nodes, node);
        bool held = n && n->pid != 0;
        pthread_mutex_unlock(&k->lock);

        return held;
}

/* ---- programs ---- */

void fake_set_definitions(FakeKernel *k, const char *lines)
{
        pthread_mutex_lock(&k->lock);
        g_free(k->definitions);
        k->definitions = g_strdup(lines);
        pthread_mutex_unlock(&k->lock);
}

void fake_set_aliases(FakeKernel *k, const char *lines)
{
        pthread_mutex_lock(&k->lock);
        g_free(k->aliases);
        k->aliases = g_strdup(lines);
        pthread_mutex_unlock(&k->lock);
}

void fake_set_program(FakeKernel *k, VgpuProgram program, FakeProgram run, void *data)
{
        pthread_mutex_lock(&k->lock);
        k->programs[program].run = run;
        k->programs[program].data = data;
        pthread_mutex_unlock(&k->lock);
}

void fake_on_pause(FakeKernel *k, void (*paused)(FakeKernel *k, void *data), void *data)
{
        pthread_mutex_lock(&k->lock);
        k->paused = paused;
        k->paused_data = data;
        pthread_mutex_unlock(&k->lock);
}

/* ---- faults ---- */

static Fault *fault(FakeKernel *k, const char *op, const char *path)
{
        char *key = g_strdup_printf("%s %s", op, path);
        Fault *f = g_hash_table_lookup(k->faults, key);

        if (f) {
                g_free(key);
                return f;
        }

        f = g_new0(Fault, 1);
        g_hash_table_replace(k->faults, key, f);

        return f;
}

void fake_before(FakeKernel *k, const char *op, const char *path, FakeHook hook, void *data)
{
        pthread_mutex_lock(&k->lock);
        Fault *f = fault(k, op, path);
        f->hook = hook;
        f->data = data;
        pthread_mutex_unlock(&k->lock);
}

void fake_fail(FakeKernel *k, const char *op, const char *path, int eno)
{
        pthread_mutex_lock(&k->lock);
        fault(k, op, path)->before = eno;
        pthread_mutex_unlock(&k->lock);
}

void fake_fail_after(FakeKernel *k, const char *op, const char *path, int eno)
{
        pthread_mutex_lock(&k->lock);
        fault(k, op, path)->after = eno;
        pthread_mutex_unlock(&k->lock);
}

void fake_hang(FakeKernel *k, const char *op, const char *path)
{
        pthread_mutex_lock(&k->lock);
        fault(k, op, path)->hang = true;
        pthread_mutex_unlock(&k->lock);
}

void fake_wait_hanging(FakeKernel *k)
{
        pthread_mutex_lock(&k->lock);
        while (k->hanging == 0)
                pthread_cond_wait(&k->changed, &k->lock);
        pthread_mutex_unlock(&k->lock);
}

void fake_release(FakeKernel *k)
{
        GHashTableIter i;
        gpointer f;

        pthread_mutex_lock(&k->lock);
        g_hash_table_iter_init(&i, k->faults);

        while (g_hash_table_iter_next(&i, NULL, &f))
                ((Fault *)f)->hang = false;
        pthread_cond_broadcast(&k->changed);
        pthread_mutex_unlock(&k->lock);
}

void fake_heal(FakeKernel *k)
{
        fake_release(k);
        pthread_mutex_lock(&k->lock);

        while (k->hanging > 0)
                pthread_cond_wait(&k->changed, &k->lock);
        g_hash_table_remove_all(k->faults);
        pthread_mutex_unlock(&k->lock);
}

/* Counts the operation and applies its fault, if any. *ret_after is the result to return after a successful
 * operation. */
static int enter(FakeKernel *k, const char *op, const char *path, int *ret_after)
{
        g_autofree char *key = g_strdup_printf("%s %s", op, path);
        Fault copy = { 0 };
        Fault *f;

        pthread_mutex_lock(&k->lock);
        g_hash_table_replace(k->counts, g_strdup(op),
                             GUINT_TO_POINTER(GPOINTER_TO_UINT(g_hash_table_lookup(k->counts, op)) + 1));

        f = g_hash_table_lookup(k->faults, key);
        if (f && f->hang) {
                k->hanging++;
                pthread_cond_broadcast(&k->changed);

                while (f->hang)
                        pthread_cond_wait(&k->changed, &k->lock);
                k->hanging--;
                pthread_cond_broadcast(&k->changed);
        }

        if (f)
                copy = *f;
        pthread_mutex_unlock(&k->lock);

        *ret_after = -copy.after;

        if (copy.hook) {
                int r = copy.hook(k, path, copy.data);

                if (r < 0)
                        return r;
        }

        return -copy.before;
}

/* ---- operations ---- */

static FakeKernel *kernel(VgpuIo *io)
{
        return ((FakeIo *)io)->k;
}

static int fake_read(VgpuIo *io, const char *path, char **ret)
{
        FakeKernel *k = kernel(io);
        g_autofree char *text = NULL;
        File *f, copy = { 0 };
        int after, r = enter(k, "read", path, &after);

        if (r < 0)
                return r;

        pthread_mutex_lock(&k->lock);
        r = find(k, path, &f);
        if (r >= 0) {
                copy = *f;
                text = f->kind == FILE_TEXT ? g_strdup(f->text) : NULL;
        }

        pthread_mutex_unlock(&k->lock);
        if (r < 0)
                return r;

        switch (copy.kind) {
        case FILE_DIRECTORY:
                return -EISDIR;
        case FILE_LINK:
                return -ELOOP;
        case FILE_ATTRIBUTE:
                if (!copy.show)
                        return -EACCES;

                r = copy.show(k, path, copy.data, &text);
                if (r < 0)
                        return r;

                break;
        case FILE_TEXT:
                break;
        }

        if (after < 0)
                return after;

        if (g_str_has_suffix(text, "\n"))
                text[strlen(text) - 1] = 0;
        *ret = g_steal_pointer(&text);

        return 0;
}

static int store(FakeKernel *k, const char *path, const char *value)
{
        File *f, copy = { 0 };
        int r;

        pthread_mutex_lock(&k->lock);

        r = find(k, path, &f);
        if (r >= 0) {
                copy = *f;
                if (f->kind == FILE_TEXT) {
                        g_free(f->text);
                        f->text = f->drops_last_byte ? g_strdup_printf("%.*s\n", (int)strlen(value) - 1, value)
                                                     : g_strdup(value);
                }
        }

        pthread_mutex_unlock(&k->lock);
        if (r < 0)
                return r;

        switch (copy.kind) {
        case FILE_DIRECTORY:
                return -EISDIR;
        case FILE_LINK:
                return -ELOOP;
        case FILE_ATTRIBUTE:
                return copy.store ? copy.store(k, path, copy.data, value) : -EACCES;
        case FILE_TEXT:
                break;
        }

        return 0;
}

static gint compare_names(gconstpointer a, gconstpointer b)
{
        return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Returns " (keeping vfio/12, vfio/13)", or "" if no group is open. The caller holds the lock. */
static char *name_kept(FakeKernel *k)
{
        g_autoptr(GPtrArray) names = g_ptr_array_new();
        g_autofree char *joined = NULL;
        GHashTableIter i;
        gpointer name, n;

        g_hash_table_iter_init(&i, k->nodes);

        while (g_hash_table_iter_next(&i, &name, &n))
                if (node_is_kept(n))
                        g_ptr_array_add(names, name);

        if (names->len == 0)
                return g_strdup("");

        g_ptr_array_sort(names, compare_names);
        g_ptr_array_add(names, NULL);
        joined = g_strjoinv(", ", (char **)names->pdata);

        return g_strdup_printf(" (keeping %s)", joined);
}

static int write_and_log(VgpuIo *io, const char *kind, const char *path, const char *value)
{
        FakeKernel *k = kernel(io);
        g_autofree char *kept = NULL, *shown = NULL;
        int after, r = enter(k, "write", path, &after);

        pthread_mutex_lock(&k->lock);
        kept = name_kept(k);
        pthread_mutex_unlock(&k->lock);

        if (r >= 0)
                r = store(k, path, value);
        if (r >= 0 && after < 0)
                r = after;

        /* Escape newlines: the log has one line per write. */
        shown = strchr(value, '\n') ? g_strescape(value, NULL) : g_strdup(value);
        pthread_mutex_lock(&k->lock);
        g_string_append_printf(k->writes, "%s %s = %s: %s%s\n", kind, path, shown,
                               r < 0 ? strerrorname_np(-r) : "ok", kept);
        pthread_mutex_unlock(&k->lock);

        return r;
}

static int fake_write(VgpuIo *io, const char *path, const char *value)
{
        return write_and_log(io, "write", path, value);
}

/* Writes as vgpud-write does, and appends the identity of the new device to the record. */
static int fake_write_guarded(VgpuIo *io, const char *path, const char *value, const VgpuWitness *witness)
{
        FakeKernel *k = kernel(io);
        int r = write_and_log(io, "guarded", path, value);
        File *f;

        if (r < 0 || !witness)
                return r;

        pthread_mutex_lock(&k->lock);
        if (find(k, witness->device, &f) >= 0)
                g_assert(dprintf(witness->fd, VGPU_WITNESS_FORMAT, (unsigned long long)f->serial) > 0);
        pthread_mutex_unlock(&k->lock);

        return 0;
}

static int fake_list(VgpuIo *io, const char *path, char ***ret)
{
        g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
        FakeKernel *k = kernel(io);
        GHashTableIter i;
        gpointer key;
        File *f = NULL;
        int after, r = enter(k, "list", path, &after);

        if (r < 0)
                return r;

        pthread_mutex_lock(&k->lock);
        r = find(k, path, &f);
        if (r >= 0 && f->kind != FILE_DIRECTORY)
                r = f->kind == FILE_LINK ? -ELOOP : -ENOTDIR;
        if (r >= 0) {
                g_hash_table_iter_init(&i, f->names);
                while (g_hash_table_iter_next(&i, &key, NULL))
                        g_ptr_array_add(names, g_strdup(key));
        }

        pthread_mutex_unlock(&k->lock);
        if (r < 0 || after < 0)
                return r < 0 ? r : after;

        g_ptr_array_sort(names, compare_names);
        g_ptr_array_add(names, NULL);
        *ret = (char **)g_ptr_array_free(g_steal_pointer(&names), FALSE);

        return 0;
}

static int fake_read_link(VgpuIo *io, const char *path, char **ret)
{
        FakeKernel *k = kernel(io);
        File *f = NULL;
        int after, r = enter(k, "link", path, &after);

        if (r < 0)
                return r;

        pthread_mutex_lock(&k->lock);
        r = find(k, path, &f);
        if (r >= 0 && f->kind != FILE_LINK)
                r = -EINVAL;
        if (r >= 0 && after < 0)
                r = after;
        if (r >= 0)
                *ret = g_strdup(f->text);
        pthread_mutex_unlock(&k->lock);

        return r;
}

static int fake_identify(VgpuIo *io, const char *path, uint64_t *ret)
{
        FakeKernel *k = kernel(io);
        File *f;
        int after, r = enter(k, "identify", path, &after);

        if (r < 0)
                return r;

        pthread_mutex_lock(&k->lock);

        r = find(k, path, &f);
        if (r >= 0)
                *ret = f->serial;
        pthread_mutex_unlock(&k->lock);

        return r < 0 ? r : after;
}

static int fake_open_group(VgpuIo *io, unsigned group)
{
        g_autofree char *number = g_strdup_printf("%u", group), *name = g_strconcat("vfio/", number, NULL);
        FakeKernel *k = kernel(io);
        int after, fds[2], r = enter(k, "group", number, &after);

        if (r < 0)
                return r;

        pthread_mutex_lock(&k->lock);
        Node *n = g_hash_table_lookup(k->nodes, name);
        if (!n)
                r = -ENOENT;
        else if (n->pid != 0 || node_is_kept(n))
                r = -EBUSY;
        else if (pipe2(fds, O_CLOEXEC) < 0)
                r = -errno;
        else {
                safe_close(n->keep_fd);
                n->keep_fd = fds[1];
                r = fds[0];
        }

        pthread_mutex_unlock(&k->lock);

        return r;
}

static int fake_node_exists(VgpuIo *io, const char *path)
{
        FakeKernel *k = kernel(io);

        pthread_mutex_lock(&k->lock);
        int r = g_hash_table_contains(k->nodes, path) ? 1 : 0;
        pthread_mutex_unlock(&k->lock);

        return r;
}

static int fake_find_holder(VgpuIo *io, const char *path, int *ret_pid, char **ret_command)
{
        FakeKernel *k = kernel(io);
        int r;

        pthread_mutex_lock(&k->lock);

        const Node *n = g_hash_table_lookup(k->nodes, path);
        if (n && n->pid > 0) {
                *ret_pid = n->pid;
                *ret_command = g_strdup(n->command);
                r = 1;
        } else
                r = k->processes_denied ? -EACCES : 0;

        pthread_mutex_unlock(&k->lock);

        return r;
}

static int fake_list_held(VgpuIo *io, const char *folder, GHashTable **ret)
{
        g_autoptr(GHashTable) held = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        FakeKernel *k = kernel(io);
        GHashTableIter i;
        gpointer name, value;

        pthread_mutex_lock(&k->lock);
        int r = k->processes_denied ? -EACCES : 0;

        g_hash_table_iter_init(&i, k->nodes);
        while (g_hash_table_iter_next(&i, &name, &value))
                if (((const Node *)value)->pid > 0 && is_below(name, folder))
                        g_hash_table_add(held, g_strdup((const char *)name + strlen(folder) + 1));

        pthread_mutex_unlock(&k->lock);
        *ret = g_steal_pointer(&held);

        return r;
}

/* Definitions: "FUNCTION FILE" per line. A line without a blank names a file that cannot be read. */
static int fake_read_definitions(VgpuIo *io, VgpuDefinitions **ret)
{
        VgpuDefinitions *d = g_new0(VgpuDefinitions, 1);
        g_auto(GStrv) lines = NULL;
        FakeKernel *k = kernel(io);

        pthread_mutex_lock(&k->lock);
        lines = g_strsplit(k->definitions ? k->definitions : "", "\n", -1);
        pthread_mutex_unlock(&k->lock);

        d->files = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);

        for (char **l = lines; *l && **l; l++) {
                const char *blank = strchr(*l, ' ');

                if (blank)
                        g_hash_table_insert(d->files, g_strndup(*l, (gsize)(blank - *l)), g_strdup(blank + 1));
                else
                        d->unread = g_strdup(*l);
        }

        *ret = d;

        return 0;
}

static int fake_list_aliases(VgpuIo *io, const char *prefix, char ***ret)
{
        g_autoptr(GPtrArray) found = g_ptr_array_new();
        g_auto(GStrv) lines = NULL;
        FakeKernel *k = kernel(io);

        pthread_mutex_lock(&k->lock);
        if (k->aliases)
                lines = g_strsplit(k->aliases, "\n", -1);
        pthread_mutex_unlock(&k->lock);
        if (!lines)
                return -ENOENT;

        for (char **l = lines; *l; l++)
                if (g_str_has_prefix(*l, prefix))
                        g_ptr_array_add(found, g_strdup(*l));

        g_ptr_array_add(found, NULL);
        *ret = (char **)g_ptr_array_free(g_steal_pointer(&found), FALSE);

        return 0;
}

static int fake_run(VgpuIo *io, VgpuProgram program, const char *const *arguments, char **ret_output)
{
        static const char *const names[] = {
                [VGPU_PROGRAM_SYSTEMCTL] = "systemctl", [VGPU_PROGRAM_NVML] = "nvml"
        };
        g_autofree char *words = g_strjoinv(" ", (char **)arguments), *output = NULL;
        FakeKernel *k = kernel(io);
        int after, r = enter(k, "run", names[program], &after);

        pthread_mutex_lock(&k->lock);
        FakeProgram run = k->programs[program].run;
        void *data = k->programs[program].data;
        pthread_mutex_unlock(&k->lock);

        if (r >= 0)
                r = run ? run(k, arguments, data, &output) : -ENOENT;
        if (r >= 0 && after < 0)
                r = after;

        pthread_mutex_lock(&k->lock);
        g_string_append_printf(k->writes, "run %s %s: ", names[program], words);

        if (r < 0)
                g_string_append_printf(k->writes, "%s\n", strerrorname_np(-r));
        else
                g_string_append_printf(k->writes, "%d\n", r);

        pthread_mutex_unlock(&k->lock);
        if (r >= 0)
                *ret_output = output ? g_steal_pointer(&output) : g_strdup("");

        return r;
}

static void fake_pause(VgpuIo *io, uint64_t usec)
{
        FakeKernel *k = kernel(io);
        int after;

        (void)enter(k, "pause", "", &after);
        pthread_mutex_lock(&k->lock);
        g_string_append_printf(k->writes, "pause %" PRIu64 "\n", usec);
        void (*paused)(FakeKernel * k, void *data) = k->paused;
        void *data = k->paused_data;
        pthread_mutex_unlock(&k->lock);

        if (paused)
                paused(k, data);
}

static void fake_free(VgpuIo *io)
{
        g_free(io);
}

static const VgpuIoOps fake_ops = {
        .read = fake_read,
        .write = fake_write,
        .write_guarded = fake_write_guarded,
        .list = fake_list,
        .read_link = fake_read_link,
        .identify = fake_identify,
        .open_group = fake_open_group,
        .node_exists = fake_node_exists,
        .find_holder = fake_find_holder,
        .list_held = fake_list_held,
        .list_aliases = fake_list_aliases,
        .read_definitions = fake_read_definitions,
        .run = fake_run,
        .pause = fake_pause,
        .free = fake_free,
};

VgpuIo *fake_kernel_io(FakeKernel *k)
{
        FakeIo *f = g_new(FakeIo, 1);

        *f = (FakeIo){ .io.ops = &fake_ops, .k = k };

        return &f->io;
}

char *fake_writes(FakeKernel *k)
{
        pthread_mutex_lock(&k->lock);
        char *text = g_strdup(k->writes->str);
        pthread_mutex_unlock(&k->lock);

        return text;
}

unsigned fake_count(FakeKernel *k, const char *op)
{
        pthread_mutex_lock(&k->lock);
        unsigned n = GPOINTER_TO_UINT(g_hash_table_lookup(k->counts, op));
        pthread_mutex_unlock(&k->lock);

        return n;
}
