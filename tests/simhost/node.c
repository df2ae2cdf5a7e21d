/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The tree of nodes; see node.h. */

#include "simhost/node.h"

#include <assert.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

static GMutex lock;
static GCond changed;
static TreeForgetFunc forget_func;

/* Deferred work of the thread that holds the lock, run at unlock. */
typedef struct Later {
        TreeAfterFunc function; /* NULL: a name has gone */
        void *data;             /* argument of the function; without a function: a reference to the directory */
        const char *name;       /* the name that has gone from the directory */
} Later;

static GArray *later;
static GPtrArray *waits; /* conditions on which threads in tree_wait() wait */

void tree_set_forget(TreeForgetFunc forget)
{
        forget_func = forget;
}

void tree_lock(void)
{
        g_mutex_lock(&lock);
}

static void append_later(TreeAfterFunc function, void *data, const char *name)
{
        Later entry = { .function = function, .data = data, .name = name };

        if (!later)
                later = g_array_new(FALSE, FALSE, sizeof(Later));
        g_array_append_val(later, entry);
}

void tree_after_unlock(TreeAfterFunc function, void *data)
{
        append_later(function, data, NULL);
}

/* Invalidates all names before the rest, such as events: a program that hears of a removal must not find the
 * device. */
static void do_later(GArray *entries)
{
        for (guint i = 0; i < entries->len; i++) {
                const Later *entry = &g_array_index(entries, Later, i);

                if (!entry->function && forget_func)
                        forget_func(entry->data, entry->name);
        }

        for (guint i = 0; i < entries->len; i++) {
                const Later *entry = &g_array_index(entries, Later, i);

                if (entry->function)
                        entry->function(entry->data);
        }

        g_mutex_lock(&lock);
        for (guint i = 0; i < entries->len; i++)
                if (!g_array_index(entries, Later, i).function)
                        node_unref(g_array_index(entries, Later, i).data);

        g_mutex_unlock(&lock);
        g_array_free(entries, TRUE);
}

void tree_unlock(void)
{
        GArray *entries = g_steal_pointer(&later);

        g_mutex_unlock(&lock);

        if (entries)
                do_later(entries);
}

void tree_wait_until(const char *reason, const char *name, gint64 end_usec)
{
        g_autofree char *entry = NULL;

        if (later) {
                tree_unlock();
                tree_lock();
                return;
        }

        entry = g_strdup_printf("%s %s", reason, name);
        if (!waits)
                waits = g_ptr_array_new();
        g_ptr_array_add(waits, entry);
        if (end_usec == G_MAXINT64)
                g_cond_wait(&changed, &lock);
        else
                (void)g_cond_wait_until(&changed, &lock, end_usec);

        g_ptr_array_remove(waits, entry);
}

void tree_wait(const char *reason, const char *name)
{
        tree_wait_until(reason, name, G_MAXINT64);
}

void tree_append_waits(GString *text)
{
        for (guint i = 0; waits && i < waits->len; i++)
                g_string_append_printf(text, "%s\n", (const char *)waits->pdata[i]);
}

void tree_broadcast(void)
{
        g_cond_broadcast(&changed);
}

Node *node_ref(Node *node)
{
        node->references++;
        return node;
}

Node *node_unref(Node *node)
{
        if (!node)
                return NULL;

        assert(node->references > 0);
        if (--node->references > 0)
                return NULL;
        if (node->children)
                g_ptr_array_free(node->children, TRUE);
        node_unref(node->original);
        g_free(node->text);
        g_slice_free(Node, node);

        return NULL;
}

static Node *node_new(const char *name, mode_t mode, const NodeOps *ops, void *data)
{
        static uint64_t last_serial; /* protected by the lock, except before threads start */
        Node *node = g_slice_new0(Node);

        node->serial = ++last_serial;
        (void)clock_gettime(CLOCK_REALTIME_COARSE, &node->created);
        node->name = g_intern_string(name);
        node->mode = mode;
        node->references = 1;
        node->populated = !ops || !ops->populate;
        node->ops = ops;
        node->data = data;

        if (S_ISDIR(mode))
                node->children = g_ptr_array_new();

        return node;
}

Node *node_new_alias(Node *original)
{
        Node *node = node_new(original->name, original->mode, NULL, NULL);

        node->original = node_ref(original);

        return node;
}

/* Finds the index of a name, or its position if missing; the children are kept sorted. */
static bool child_index(const Node *parent, const char *name, guint *ret_index)
{
        guint low = 0, high = parent->children->len;

        while (low < high) {
                guint middle = low + (high - low) / 2;
                const Node *child = parent->children->pdata[middle];
                int order = strcmp(child->name, name);

                if (order == 0) {
                        *ret_index = middle;
                        return true;
                }

                if (order < 0)
                        low = middle + 1;
                else
                        high = middle;
        }

        *ret_index = low;

        return false;
}

static Node *node_attach(Node *parent, Node *node)
{
        guint index;
        bool found;

        assert(parent->children);
        found = child_index(parent, node->name, &index);
        assert(!found);
        g_ptr_array_insert(parent->children, (gint)index, node);
        node->parent = parent;

        return node;
}

Node *node_new_root(const char *name)
{
        return node_new(name, S_IFDIR | 0755, NULL, NULL);
}

Node *node_add_directory(Node *parent, const char *name)
{
        return node_attach(parent, node_new(name, S_IFDIR | 0755, NULL, NULL));
}

Node *node_add_directory_lazy(Node *parent, const char *name, const NodeOps *ops, void *data)
{
        return node_attach(parent, node_new(name, S_IFDIR | 0755, ops, data));
}

Node *node_make_path(Node *parent, const char *path)
{
        g_auto(GStrv) parts = g_strsplit(path, "/", -1);

        for (char **part = parts; *part; part++) {
                Node *next;

                if (!**part)
                        continue;

                next = node_child(parent, *part);
                parent = next ? next : node_add_directory(parent, *part);
        }

        return parent;
}

Node *node_add_text(Node *parent, const char *name, mode_t permissions, const NodeOps *ops, const char *text)
{
        Node *node = node_new(name, S_IFREG | permissions, ops, NULL);

        node->text = g_strdup(text);

        return node_attach(parent, node);
}

Node *node_add_format(Node *parent, const char *name, mode_t permissions, const char *format, ...)
{
        Node *node = node_new(name, S_IFREG | permissions, NULL, NULL);
        va_list arguments;

        va_start(arguments, format);
        node->text = g_strdup_vprintf(format, arguments);
        va_end(arguments);

        return node_attach(parent, node);
}

Node *node_add_attribute(Node *parent, const char *name, mode_t permissions, const NodeOps *ops, void *data)
{
        return node_attach(parent, node_new(name, S_IFREG | permissions, ops, data));
}

char *node_path(const Node *node)
{
        g_autoptr(GPtrArray) parts = g_ptr_array_new();
        g_autoptr(GString) path = g_string_new(NULL);

        for (; node && node->parent; node = node->parent)
                g_ptr_array_add(parts, (void *)node->name);
        for (guint i = parts->len; i > 0; i--)
                g_string_append_printf(path, "/%s", (const char *)parts->pdata[i - 1]);

        return g_string_free(g_steal_pointer(&path), FALSE);
}

Node *node_add_link(Node *parent, const char *name, const Node *target)
{
        g_autofree char *from = node_path(parent), *to = node_path(target);
        g_auto(GStrv) from_parts = g_strsplit(from, "/", -1), to_parts = g_strsplit(to, "/", -1);
        g_autoptr(GString) text = g_string_new(NULL);
        guint common = 0;
        Node *node;

        while (from_parts[common] && to_parts[common] && g_str_equal(from_parts[common], to_parts[common]))
                common++;
        for (guint i = common; from_parts[i]; i++)
                g_string_append(text, "../");
        for (guint i = common; to_parts[i]; i++)
                g_string_append_printf(text, "%s%s", to_parts[i], to_parts[i + 1] ? "/" : "");
        /* A link upwards, such as vfio-dev/vfio0/device: the kernel's target ends with the directory's name. */
        if (!to_parts[common] && common > 0) {
                g_string_truncate(text, 0);
                for (guint i = common; from_parts[i]; i++)
                        g_string_append(text, "../");
                g_string_append_printf(text, "../%s", to_parts[common - 1]);
        }

        node = node_new(name, S_IFLNK | 0777, NULL, NULL);
        node->text = g_string_free(g_steal_pointer(&text), FALSE);

        return node_attach(parent, node);
}

/* Marks a node and all nodes below it as removed, and drops the tree's references to them. */
static void node_detach(Node *node)
{
        node->removed = true;
        if (node->children)
                for (guint i = 0; i < node->children->len; i++)
                        node_detach(node->children->pdata[i]);
        if (node->children)
                g_ptr_array_set_size(node->children, 0);
        node->parent = NULL;
        node->data = NULL;
        node_unref(node);
}

void node_remove(Node *node)
{
        Node *parent = node->parent;
        guint index;
        bool found;

        assert(parent);
        found = child_index(parent, node->name, &index);
        assert(found);
        g_ptr_array_remove_index(parent->children, index);

        if (node->lookups > 0)
                append_later(NULL, node_ref(parent), node->name);
        node_detach(node);
}

void node_remove_child(Node *parent, const char *name)
{
        Node *node = node_child(parent, name);

        if (node)
                node_remove(node);
}

void node_populate(Node *node)
{
        if (node->populated)
                return;

        node->populated = true;
        node->ops->populate(node);
}

Node *node_child(Node *parent, const char *name)
{
        guint index;

        if (!parent->children)
                return NULL;

        node_populate(parent);

        return child_index(parent, name, &index) ? parent->children->pdata[index] : NULL;
}

Node *node_find(Node *root, const char *path)
{
        g_auto(GStrv) parts = g_strsplit(path, "/", -1);
        Node *node = root;

        for (char **part = parts; *part && node; part++)
                if (**part)
                        node = node_child(node, *part);

        return node;
}

/* Linux follows at most this many links. */
#define LINKS_MAX 40

Node *node_resolve(Node *root, const char *path)
{
        g_autoptr(GString) rest = g_string_new(path);
        unsigned links = 0;
        Node *node = root;

        while (node && rest->len > 0) {
                gsize length = strcspn(rest->str, "/");
                g_autofree char *name = g_strndup(rest->str, length);
                Node *next = node;

                g_string_erase(rest, 0, (gssize)MIN(length + 1, rest->len));

                if (g_str_equal(name, ".."))
                        next = node->parent ? node->parent : root;
                else if (*name && !g_str_equal(name, "."))
                        next = node_child(node, name);

                if (next && S_ISLNK(next->mode)) {
                        if (++links > LINKS_MAX)
                                return NULL;

                        g_string_prepend_c(rest, '/');
                        g_string_prepend(rest, next->text);
                        continue; /* relative to the directory of the link */
                }

                node = next;
        }

        return node;
}

void node_set_text(Node *node, const char *text)
{
        g_free(node->text);
        node->text = g_strdup(text);
}
