/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The mediated device core of the simulated kernel, as drivers/vfio/mdev is since Linux 6.1: parents with
 * types, create and remove, and the VFIO part that every driver of a mediated device does in its probe. The
 * models supply what vendors supply: types, availability, and what a creation costs.
 */

#include "simhost/device.h"

typedef struct Mdev Mdev;
typedef struct MdevParent MdevParent;
typedef struct MdevParentOps MdevParentOps;
typedef struct MdevType MdevType;
typedef struct MdevTypeSpec MdevTypeSpec;

/* What a model says about a type; four amounts mean what the model wants. */
struct MdevTypeSpec {
        const char *suffix; /* the id is PREFIX-SUFFIX */
        const char *name;   /* NULL: as the id (or suffix, by name_is_suffix) */
        const char *description;
        unsigned amount[4];
};

/* One type of one parent: what its attributes and its instances point to. */
struct MdevType {
        MdevParent *parent;
        const MdevTypeSpec *spec;
        char *id; /* owned */
};

/* All with the lock held. */
struct MdevParentOps {
        const char *driver; /* on the mdev bus */
        const char *module; /* whose loading registers the parents */
        /* NULL: the kernel counts a budget that all types of a parent share. */
        unsigned (*available)(const MdevType *type);
        /* Takes what the instance needs. 0 or the errno that the write fails with. */
        int (*probe)(Mdev *mdev);
        void (*release)(Mdev *mdev);
        /* Vendor attributes of an instance. */
        void (*add_attributes)(Mdev *mdev, Node *directory);
};

struct MdevParent {
        const MdevParentOps *ops;
        const char *prefix;
        MdevType *types; /* owned */
        unsigned n_types;
        unsigned budget; /* without available(): how many more */
        void *state;     /* the model's */
        Device *device;  /* NULL: the device is not there */
        char *name;      /* owned: of the device, also while it is away */
        bool registered;
        bool unregistering;
        unsigned users;   /* creations and removals under way: the kernel's unreg_sem */
        GPtrArray *mdevs; /* borrowed: its children, whole or not */
};

struct Mdev {
        char *uuid;
        MdevType *type;
        Device *device;
        Device *vfio_group;
        Device *vfio_dev;
        unsigned group;
        bool active;
        bool linked;
        bool removing;
        unsigned holds;   /* somebody has the device open */
        unsigned number;  /* the model's: vgpu_id */
        char *parameters; /* the model's; owned */
};

/* With the lock held. The specs stay the caller's. */
MdevParent *mdev_parent_new(const char *name, const char *prefix, const MdevParentOps *ops,
                            const MdevTypeSpec *specs, unsigned n_specs, void *state);
/* The driver registers the device; MDEV_STATE=registered follows. */
void mdev_parent_register(MdevParent *parent, Device *device);
/* Without the lock: removes all children, and blocks while one is open. -ENODEV: was not registered. */
int mdev_parent_unregister(MdevParent *parent);
MdevParent *mdev_parent_find(const char *name);
/* All parents there are, in order of creation. */
GPtrArray *mdev_parents(void);
MdevType *mdev_type_find(MdevParent *parent, const char *id);
unsigned mdev_type_available(const MdevType *type);
Mdev *mdev_find(const char *uuid);

/* Without the lock; text as written to the file. */
int mdev_create(MdevType *type, const char *text, size_t length);
/* What a write to "remove" does once it is parsed. */
int mdev_remove(const char *uuid);
/* Somebody opens the device (by 1) or closes it (by -1). */
int mdev_hold(const char *uuid, int by);
/* The host goes down: whoever waits for a device to be closed waits no longer. */
void mdev_shutdown(void);
