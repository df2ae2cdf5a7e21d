/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The back-end vector. A back end turns one kernel interface into a few verbs; callers hold the vector and
 * never branch on the vendor.
 *
 * match(), match_reservation() and handover() are pure. Every other function is called in the lane of its GPU,
 * never two at a time for one GPU, and may block. A back end has no memory of what exists: that is what scan()
 * finds, so a restart of the daemon and a change made by somebody else need no special case; what it did to the
 * kernel and has to undo later it leaves in t->notes. It reaches the kernel through t->io only, logs nothing
 * above debug, and has no static state. */

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/gpu-note.h"
#include "drivers-glue/facts.h"
#include "drivers-glue/io/io.h"
#include "drivers-glue/snapshot.h"

typedef enum VgpuMatch {
        VGPU_MATCH_NO = 0,
        VGPU_MATCH_PLAIN = 5,    /* nothing but SR-IOV */
        VGPU_MATCH_GENERIC = 10, /* a standard interface is there: mdev */
        VGPU_MATCH_VENDOR = 20,  /* this vendor's own interface is there */
} VgpuMatch;

typedef struct VgpuTarget {
        const GpuFacts *facts;        /* borrowed for the length of the call */
        VgpuIo *io;                   /* borrowed */
        unsigned parent_hint;         /* the back end's, from one create() of a job to the next; 0 at first */
        const GPtrArray *known_types; /* borrowed: VgpuType that GPUs of this model were seen to offer at any
                                       * time; NULL: none. NVIDIA's lists leave out what cannot be made now */
        const GpuNotes *notes;        /* borrowed: what has to outlive the daemon; NULL: nobody keeps any */
} VgpuTarget;

typedef struct CreateArgs {
        const char *uuid;            /* lower case */
        const char *type_id;         /* an id, not an alias */
        const char *parent;          /* sysfs name of the parent to use; NULL: any that has room */
        uint32_t count;              /* how many the job makes with these arguments, of which this is one */
        const GPtrArray *attributes; /* VgpuAttribute; may be NULL */

        /* Back ends whose kernel has no UUIDs call it before their first write, with the slot they have chosen
         * and what destroy() will need to put back (NULL: nothing): it is on disk when reserve() returns, so
         * that whoever comes after a crash knows whose it is. When it fails, so does create(), with nothing
         * done. NULL: nobody keeps it. */
        int (*reserve)(const char *slot, const char *restore, void *userdata);
        void *reserve_userdata;
} CreateArgs;

/* How a virtual machine monitor takes an instance. */
typedef struct Handover {
        char *sysfs_path;  /* absolute */
        int iommu_group;   /* -1: none */
        char *group_node;  /* "/dev/vfio/12"; NULL if none */
        char *cdev_node;   /* "/dev/vfio/devices/vfio3"; NULL if none */
        char *libvirt_xml; /* one <hostdev> element */
        char **qemu_args;  /* NULL-terminated: "-device", "vfio-pci,sysfsdev=…"; or NULL */
} Handover;

typedef struct VgpuDriver {
        const char *name; /* "mdev": on the bus, in the journal, in state files; never renamed */

        /* Main thread. No I/O. The highest score wins; equal scores: the earlier entry of the registry. */
        VgpuMatch (*match)(const GpuFacts *facts);

        /* Lane. Reads everything again; may not write. */
        int (*scan)(VgpuTarget *t, GpuSnapshot **ret, VgpudError *reterr);

        /* Lane. All or nothing: on failure the kernel is as before, or the error is INCONSISTENT. *ret is what
         * was verified to exist. Errors: NO_SUCH_TYPE, NO_CAPACITY, EXISTS (says where it is), INVALID,
         * GPU_GONE, FAILED, INCONSISTENT. */
        int (*create)(VgpuTarget *t, const CreateArgs *args, InstanceDesc **ret, VgpudError *reterr);

        /* Lane. Tests use before it removes and keeps others out while it does. 1: it was there and is gone
         * now; 0: it was gone already. Errors: IN_USE (says who holds it, if that can be seen; also when nobody
         * can tell), GPU_GONE, FAILED. */
        int (*destroy)(VgpuTarget *t, const InstanceDesc *instance, VgpudError *reterr);

        /* Lane. As many virtual functions as that, 0 for none, through 0 where the kernel wants it. Refuses
         * while one of them carries an instance or is in use (IN_USE, naming the holder). *ret is what the
         * kernel says afterwards. t->facts are out of date then. NULL: this back end has no virtual functions
         * to enable. Errors: INVALID (more than there can be), IN_USE, UNSUPPORTED, NO_CAPACITY, GPU_GONE,
         * FAILED. */
        int (*set_vfs)(VgpuTarget *t, uint32_t count, uint32_t *ret, VgpudError *reterr);

        /* Lane. Set a mode of the GPU (GpuSnapshot.modes) and verify that it is set. NULL: there are none.
         * Errors: INVALID, IN_USE (says what has to go first), UNSUPPORTED, GPU_GONE, FAILED. */
        int (*configure)(VgpuTarget *t, const char *mode, const char *value, VgpudError *reterr);

        /* Lane, before the first scan() of a daemon, for each slot that an earlier one had reserved: what
         * scan() does not show as an instance, because destroy() was interrupted on the last steps, is finished
         * here. Errors are for the journal. NULL: destroy() has no such steps. */
        int (*finish_interrupted)(VgpuTarget *t, const char *slot, const char *restore, VgpudError *reterr);

        /* Main thread, pure. After scan(), for an instance without UUID in a slot that was reserved with
         * `restore`: false when it is another than was made then, and somebody else's; else what was asked for
         * and the kernel does not show is added to its attributes. NULL: there is nothing of the kind. */
        bool (*match_reservation)(InstanceDesc *instance, const char *restore);

        /* Main thread. No I/O. For a GPU that takes long to look at: `s` is `before` with instances added or
         * taken away (gpu_snapshot_predict()). Sets how many of each type can be made now, and why no more, as
         * a scan would, never more. false: only a scan can tell. NULL: the same. */
        bool (*predict)(const GpuFacts *facts, const GpuSnapshot *before, GpuSnapshot *s);

        /* Any thread. No I/O. */
        Handover *(*handover)(const InstanceDesc *instance);
} VgpuDriver;

/* What every create() takes: a UUID in lower case, attributes whose names and values are valid. INVALID. */
int create_args_check(const CreateArgs *args, VgpudError *reterr);

/* Put the chosen slot on record before the first write (CreateArgs.claim). FAILED. */
int slot_reserve(const CreateArgs *args, const char *slot, const char *restore, VgpudError *reterr);

/* The hand-over of a VFIO device: path, nodes, QEMU's arguments; without a domain element. */
Handover *handover_new(const InstanceDesc *instance, const char *sysfs_path, const char *qemu_device);
/* That of a PCI function in instance->slot. managed='no': its driver is ours to choose, not libvirt's. */
Handover *handover_new_pci(const InstanceDesc *instance);
Handover *handover_free(Handover *h);
