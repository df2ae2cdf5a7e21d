/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * GPUs as the models describe them: a physical function, the virtual functions it may have, its driver,
 * mediated device parents on one or the other. It owns the list of GPUs, and what plugging and unplugging does.
 *
 * How a model of a GPU with SR-IOV is made: fill a GpuOps, call gpu_new() in build(), set what the Gpu is to
 * have besides (state, vfs_at_plug, functions[i].parent), call gpu_plug(). The kernel's part is done by
 * driver.c (which driver binds to which function) and sriov.c (functions that come and go); the hooks of GpuOps
 * are the vendor's part. Attributes are made by node_add_*() below function->device->directory, with NodeOps
 * whose store_locked() is called with everything locked; no file has to be removed when its device goes.
 */

#include "simhost/mdev.h"

typedef struct Gpu Gpu;
typedef struct GpuFunction GpuFunction;
typedef struct GpuOps GpuOps;

/* All hooks are called with the tree's lock and the device lock of the function (of the physical one, where a
 * Gpu is given); they may be NULL. */
struct GpuOps {
        const char *driver; /* of the physical function; loaded from the start */
        /* Takes virtual functions by its table of ids; may be the same as the above. NULL: no driver of the
         * host does. */
        const char *vf_driver;
        /* A variant of vfio-pci that is loaded besides, "xe-vfio-pci". NULL: none. */
        const char *vfio_driver;
        bool has_drm; /* these drivers make a card and a render node on each function they bind to */
        bool has_sriov_configure; /* else writing sriov_numvfs gives ENOENT */
        bool keeps_vfs;           /* virtual functions stay when the driver leaves the physical one */
        bool vf_is_vfio; /* vf_driver registers virtual functions with VFIO while it is bound to them */

        /* The probe of `driver` or `vf_driver` (function->index tells which): makes the vendor's files; below
         * the last element of function->drm, the card, they vanish with it. A negative errno fails it. It may
         * call sriov_enable(), as drivers do that have a fixed number of VFs. */
        int (*bind)(GpuFunction *function);
        /* Its counterpart, which removes the files that bind() made. */
        void (*unbind)(GpuFunction *function);
        /* Before the first virtual function is made: takes what `count` of them need. Returns how many are
         * made, which is `count` where all is well, or the errno that the write to sriov_numvfs fails with. */
        int (*vfs_enable)(Gpu *gpu, unsigned count);
        /* After the last one has gone, or when they could not be made. */
        void (*vfs_disable)(Gpu *gpu);
        /* A virtual function is there, with its links, and no driver has seen it yet; it is about to go. */
        void (*vf_add)(GpuFunction *function);
        void (*vf_remove)(GpuFunction *function);
        /* A driver of VFIO is about to bind: a negative errno fails its probe. */
        int (*vfio_bind)(GpuFunction *function);
};

struct GpuFunction {
        Gpu *gpu;
        unsigned index; /* 0: the physical one; N: virtfn(N - 1), vfN in sriov_admin/ */
        PciSpec spec;
        Device *device;     /* NULL: not there */
        MdevParent *parent; /* NULL: offers no types */
        void *state;        /* the model's */
        /* The rest is the core's. */
        bool locked; /* the kernel's device lock: driver.h */
        GPtrArray *drm;
        Device *vfio_group; /* NULL: not registered with VFIO */
        Device *vfio_dev;
        unsigned holds; /* somebody has it open */
        bool leaving;   /* VFIO lets nobody open it any more */
};

struct Gpu {
        const GpuOps *ops;
        void *state; /* the model's */
        unsigned vf_device_id;
        unsigned vf_offset;
        unsigned vf_stride;
        unsigned total_vfs;   /* what sriov_totalvfs says; a driver may lower it */
        unsigned vfs_at_plug; /* enabled as soon as it is there, by whatever does that at boot */
        unsigned n_vfs;       /* enabled now */
        bool autoprobe;
        unsigned n_functions; /* the first is the physical one; fixed */
        GpuFunction *functions;
};

/* With the lock held. The GPU is not there until it is plugged. n_vfs 0: it has no SR-IOV. */
Gpu *gpu_new(const PciSpec *spec, const GpuOps *ops, unsigned n_vfs, unsigned vf_device_id, unsigned vf_offset,
             unsigned vf_stride);
/* -EEXIST: is there already. With the lock held, which it may let go. */
int gpu_plug(Gpu *gpu);

/* NULL: no such function. It may not be there at the moment. */
GpuFunction *gpu_find_function(const char *address);
/* All GPUs, in order of creation. */
GPtrArray *gpu_all(void);

/* At run time, without the lock. -ENODEV: no such GPU. */
int gpu_plug_by_address(const char *address);
int gpu_unplug_by_address(const char *address);
int gpu_register_by_name(const char *name);
int gpu_unregister_by_name(const char *name);

/* The address of the GPU that a path goes through, if only by a virtual function; for faults. */
const char *gpu_alias(const char *path);

/* A parent that is not on a bus: /sys/devices/virtual/NAME/NAME of class NAME. With the lock held. */
void gpu_add_virtual_parent(MdevParent *parent);
