/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The tree that the simulated host shows: directories, attributes and links, as the kernel's kernfs keeps them.
 * It owns the nodes, the one lock of the host, and the rule that a removed node disappears from the kernel's
 * caches before anybody can hear of the removal. Nothing here knows what the nodes mean.
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
        /* One write(2). The bytes end with a NUL that is not counted. Called without the lock: it may block as
         * long as it likes. 0 or a negative errno. */
        int (*store)(Node *node, const char *bytes, size_t length);
        /* The same for those that want the tree locked, and the node still in it (else the write fails with
         * ENODEV). They may wait by tree_wait(). */
        int (*store_locked)(Node *node, const char *bytes, size_t length);
        /* Fills a directory when somebody looks into it for the first time; called with the tree locked. */
        void (*populate)(Node *node);
        /* For device nodes: with the tree locked; opener is what identifies the open file. */
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
        GPtrArray *children; /* directories: nodes by name */
        char *text;          /* owned: target of a link; content of an attribute, which then hides show() */
        const NodeOps *ops;  /* borrowed; may be NULL */
        void *data;          /* borrowed; meaning is the owner's */
        Node *original;      /* holds a reference; NULL: not an alias */
        uint64_t serial;     /* of no other node, ever: the inode's number */
};

/* The host has one lock. Unlocking tells the kernel which names have gone, then does what was put off, in
 * order. */
void tree_lock(void);
void tree_unlock(void);
/* Puts something off until the lock is free: sending an event. Wants the lock. */
typedef void (*TreeAfterFunc)(void *data);
void tree_after_unlock(TreeAfterFunc function, void *data);
/* Lets go of the lock, as tree_unlock() does, and waits for tree_broadcast(). It may return early. Meanwhile
 * tree_append_waits() lists "REASON NAME". */
void tree_wait(const char *reason, const char *name);
/* The same, until a time of g_get_monotonic_time() at most. */
void tree_wait_until(const char *reason, const char *name, gint64 end_usec);
/* A line per thread that waits. Wants the lock. */
void tree_append_waits(GString *text);
void tree_broadcast(void);

/* Called without the lock, once for each name that vanished. */
typedef void (*TreeForgetFunc)(Node *parent, const char *name);
void tree_set_forget(TreeForgetFunc forget);

/* Everything below wants the lock. */
Node *node_new_root(const char *name);
Node *node_add_directory(Node *parent, const char *name);
Node *node_add_directory_lazy(Node *parent, const char *name, const NodeOps *ops, void *data);
/* Gives the directory of that relative path, making what is missing. */
Node *node_make_path(Node *parent, const char *path);
/* An attribute with a content of its own; ops may give it a store(). */
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
/* The same, following links. */
Node *node_resolve(Node *root, const char *path);
void node_populate(Node *node);
void node_set_text(Node *node, const char *text);
/* "/sys/devices/…": from the root. Free it. */
char *node_path(const Node *node);

/* Another face of a node, which is not in the tree; lives as long as it is referenced. */
Node *node_new_alias(Node *original);

Node *node_ref(Node *node);
Node *node_unref(Node *node);
