/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The back-end vector. A back end turns one kernel interface into a few verbs; callers hold the vector and
 * never branch on the vendor.
 *
 * match() and handover() are pure. Every other function is called in the lane of its GPU, never two at a time
 * for one GPU, and may block. A back end has no memory of what exists: that is what scan() finds, so a restart
 * of the daemon and a change made by somebody else need no special case. It reaches the kernel through t->io
 * only, logs nothing above debug, and has no static state. */

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "drivers-glue/facts.h"
#include "drivers-glue/io.h"
#include "drivers-glue/snapshot.h"

typedef enum VgpuMatch {
        VGPU_MATCH_NO = 0,
        VGPU_MATCH_GENERIC = 10, /* a standard interface is there: mdev */
        VGPU_MATCH_VENDOR = 20,  /* this vendor's own interface is there */
} VgpuMatch;

typedef struct VgpuTarget {
        const GpuFacts *facts; /* borrowed for the length of the call */
        VgpuIo *io;            /* borrowed */
        unsigned parent_hint;  /* the back end's, from one create() of a job to the next; 0 at first */
} VgpuTarget;

/* A vendor attribute, written after creation in the order given. The name is a path below the instance's folder
 * of at most two components ("nvidia/vgpu_params"); vgpu_attribute_name_is_valid() says what is allowed. */
typedef struct VgpuAttribute {
        char *name;
        char *value;
} VgpuAttribute;

typedef struct CreateArgs {
        const char *uuid;            /* lower case */
        const char *type_id;         /* an id, not an alias */
        const char *parent;          /* sysfs name of the parent to use; NULL: any that has room */
        const GPtrArray *attributes; /* VgpuAttribute; may be NULL */
} CreateArgs;

/* How a virtual machine monitor takes an instance. */
typedef struct Handover {
        char *sysfs_path;  /* absolute */
        int iommu_group;   /* -1: none */
        char *group_node;  /* "/dev/vfio/12"; NULL if none */
        char *cdev_node;   /* "/dev/vfio/devices/vfio3"; NULL if none */
        char *libvirt_xml; /* one <hostdev> element */
        char **qemu_args;  /* NULL-terminated: "-device", "vfio-pci,sysfsdev=…" */
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

        /* Any thread. No I/O. */
        Handover *(*handover)(const InstanceDesc *instance);
} VgpuDriver;

extern const VgpuDriver mdev_driver;

VgpuAttribute *vgpu_attribute_new(const char *name, const char *value);
VgpuAttribute *vgpu_attribute_free(VgpuAttribute *a);
/* One or two components of [A-Za-z0-9_.-], not beginning with a dot, and none of the kernel's own files of a
 * device (remove, uevent, driver, driver_override, subsystem, iommu_group, mdev_type, power, …). */
bool vgpu_attribute_name_is_valid(const char *name);

Handover *handover_free(Handover *h);

/* registry.c: the back end for these facts. NULL, with *ret_reason (owned by the caller) saying in words why
 * there is none and what could be done. */
const VgpuDriver *registry_choose(const GpuFacts *facts, char **ret_reason);
