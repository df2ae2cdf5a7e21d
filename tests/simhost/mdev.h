/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The mediated device core of the simulated kernel, as drivers/vfio/mdev since Linux 6.1: parents with types,
 * create and remove, and the VFIO part common to the probes of all mdev drivers. The models supply the vendor's
 * part: types, availability, and the cost of an instance.
 */

#include "simhost/device.h"

typedef struct Mdev Mdev;
typedef struct MdevParent MdevParent;
typedef struct MdevParentOps MdevParentOps;
typedef struct MdevType MdevType;
typedef struct MdevTypeSpec MdevTypeSpec;

/* A model's description of a type. Each model gives the four amounts a meaning of its own. */
struct MdevTypeSpec {
        const char *suffix; /* the id is PREFIX-SUFFIX */
        const char *name;   /* content of the file "name"; NULL: the suffix */
        const char *description;
        unsigned amount[4];
};

/* One type of one parent; attributes and instances point here. */
struct MdevType {
        MdevParent *parent;
        const MdevTypeSpec *spec;
        char *id; /* owned */
};

/* All hooks are called with the lock held. */
struct MdevParentOps {
        const char *driver; /* driver on the mdev bus */
        const char *module; /* module that registers the parents when loaded */
        /* NULL: the kernel counts a budget that all types of a parent share. */
        unsigned (*available)(const MdevType *type);
        /* Reserves resources for the instance. Returns 0 or the errno that the write fails with. */
        int (*probe)(Mdev *mdev);
        void (*release)(Mdev *mdev);
        /* Adds the vendor attributes of an instance. */
        void (*add_attributes)(Mdev *mdev, Node *directory);
};

struct MdevParent {
        const MdevParentOps *ops;
        const char *prefix;
        MdevType *types; /* owned */
        unsigned n_types;
        unsigned budget; /* remaining instances, if there is no available() */
        void *state;     /* the model's */
        Device *device;  /* NULL: not present */
        char *name;      /* owned: name of the device, also while the device is absent */
        bool registered;
        bool unregistering;
        unsigned users;   /* creations and removals under way: the kernel's unreg_sem */
        GPtrArray *mdevs; /* borrowed: complete and incomplete children */
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
        unsigned holds;   /* open files of other programs */
        unsigned number;  /* the model's: vgpu_id */
        char *parameters; /* the model's; owned */
};

/* Called with the lock held. The specs must outlive the parent. */
MdevParent *mdev_parent_new(const char *name, const char *prefix, const MdevParentOps *ops,
                            const MdevTypeSpec *specs, unsigned n_specs, void *state);
/* Registers the device as a parent, as its driver does, and sends the event with MDEV_STATE=registered. */
void mdev_parent_register(MdevParent *parent, Device *device);
/* Removes all children; blocks while a child is open. Called without the lock. -ENODEV: not registered. */
int mdev_parent_unregister(MdevParent *parent);
MdevParent *mdev_parent_find(const char *name);
/* All parents, in order of creation. */
GPtrArray *mdev_parents(void);
MdevType *mdev_type_find(MdevParent *parent, const char *id);
unsigned mdev_type_available(const MdevType *type);
Mdev *mdev_find(const char *uuid);

/* Handles a write of the text to "create"; called without the lock. */
int mdev_create(MdevType *type, const char *text, size_t length);
/* Handles a write of 1 to "remove"; called without the lock. */
int mdev_remove(const char *uuid);
/* Counts another program's open (by 1) or close (by -1) of the device. */
int mdev_hold(const char *uuid, int by);
/* The host shuts down: ends every wait for the close of a device. */
void mdev_shutdown(void);
