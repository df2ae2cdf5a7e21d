/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The tree that the simulated host shows: directories, attributes and links, as in the kernel's kernfs. The
 * module owns the nodes, the one lock of the host, and the rule that a removed node disappears from the
 * kernel's caches before any program can learn of the removal. The meaning of nodes is not known here.
 */

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

typedef struct Node Node;
typedef struct NodeOps NodeOps;

struct NodeOps {
        /* The whole content of an attribute; called with the tree locked. 0 or a negative errno. */
        int (*show)(Node *node, GString *text);
        /* One write(2). The bytes end with a NUL that is not counted. Called without the lock: may block.
         * Returns 0 or a negative errno. */
        int (*store)(Node *node, const char *bytes, size_t length);
        /* Like store(), but called with the tree locked and the node still in the tree (else the write fails
         * with ENODEV). May wait by tree_wait(). */
        int (*store_locked)(Node *node, const char *bytes, size_t length);
        /* Fills a directory at the first lookup; called with the tree locked. */
        void (*populate)(Node *node);
        /* For device nodes only; called with the tree locked. opener identifies the open file. */
        int (*open)(Node *node, const void *opener);
        void (*release)(Node *node, const void *opener);
};

struct Node {
        Node *parent;        /* borrowed; NULL for a root and after removal */
        const char *name;    /* interned */
        mode_t mode;         /* type and permission bits */
        unsigned references; /* the tree's own, the kernel's lookups, open files */
        unsigned lookups;    /* the kernel's lookups alone */
        bool removed;
        bool populated;
        GPtrArray *children;     /* directories: nodes by name */
        char *text;              /* owned: target of a link; content of an attribute, which then hides show() */
        const NodeOps *ops;      /* borrowed; may be NULL */
        void *data;              /* borrowed; only the module that made the node knows the meaning */
        Node *original;          /* holds a reference; NULL: not an alias */
        uint64_t serial;         /* unique for the life of the host: the inode's number */
        struct timespec created; /* the inode's times */
};

/* The host has one lock. Unlocking first tells the kernel the names that have gone, then runs the deferred work
 * in order. */
void tree_lock(void);
void tree_unlock(void);
/* Defers a call, such as sending an event, until the lock is free. Call with the lock held. */
typedef void (*TreeAfterFunc)(void *data);
void tree_after_unlock(TreeAfterFunc function, void *data);
/* Releases the lock and waits for tree_broadcast(); may return early. Meanwhile tree_append_waits() lists
 * "REASON NAME". */
void tree_wait(const char *reason, const char *name);
/* Like tree_wait(), but returns at end_usec (g_get_monotonic_time()) at the latest. */
void tree_wait_until(const char *reason, const char *name, gint64 end_usec);
/* Appends a line per thread that waits. Call with the lock held. */
void tree_append_waits(GString *text);
void tree_broadcast(void);

/* Called without the lock, once for each name that vanished. */
typedef void (*TreeForgetFunc)(Node *parent, const char *name);
void tree_set_forget(TreeForgetFunc forget);

/* All functions below need the lock. */
Node *node_new_root(const char *name);
Node *node_add_directory(Node *parent, const char *name);
Node *node_add_directory_lazy(Node *parent, const char *name, const NodeOps *ops, void *data);
/* Returns the directory of a relative path; makes missing elements. */
Node *node_make_path(Node *parent, const char *path);
/* An attribute with a stored content; ops may have a store(). */
Node *node_add_text(Node *parent, const char *name, mode_t permissions, const NodeOps *ops, const char *text);
Node *node_add_format(Node *parent, const char *name, mode_t permissions, const char *format, ...)
                G_GNUC_PRINTF(4, 5);
Node *node_add_attribute(Node *parent, const char *name, mode_t permissions, const NodeOps *ops, void *data);
/* A relative link to another node of the same tree. */
Node *node_add_link(Node *parent, const char *name, const Node *target);
void node_remove(Node *node);
void node_remove_child(Node *parent, const char *name);
/* Looks into lazy directories too. NULL: no such name. */
Node *node_child(Node *parent, const char *name);
/* Follows a path, not links. NULL: no such path. */
Node *node_find(Node *root, const char *path);
/* Like node_find(), but follows links. */
Node *node_resolve(Node *root, const char *path);
void node_populate(Node *node);
void node_set_text(Node *node, const char *text);
/* "/sys/devices/…", from the root. Free the string. */
char *node_path(const Node *node);

/* An alias of a node, outside the tree; lives as long as it is referenced. */
Node *node_new_alias(Node *original);

Node *node_ref(Node *node);
Node *node_unref(Node *node);
