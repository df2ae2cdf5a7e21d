/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * GPUs as the models describe them: a physical function, the virtual functions it may have, the driver, and
 * mediated device parents on PF or VFs. The module owns the list of GPUs and carries out hot-plug.
 *
 * A model of a GPU with SR-IOV fills a GpuOps, calls gpu_new() in build(), sets further fields of the Gpu
 * (state, vfs_at_plug, functions[i].parent), and calls gpu_plug(). The kernel's part is in driver.c (driver
 * binding) and sriov.c (creation and removal of VFs); the hooks of GpuOps are the vendor's part. Attributes are
 * made by node_add_*() below function->device->directory, with NodeOps whose store_locked() is called with all
 * locks held. No file has to be removed when its device goes.
 */

#include "simhost/mdev.h"

typedef struct Gpu Gpu;
typedef struct GpuFunction GpuFunction;
typedef struct GpuOps GpuOps;

/* All hooks are optional, and called with the tree's lock and the device lock of the function (for hooks with a
 * Gpu: of the physical function). */
struct GpuOps {
        const char *driver; /* driver of the physical function; loaded from the start */
        /* driver that matches virtual functions by its table of ids; may equal `driver`. NULL: none */
        const char *vf_driver;
        /* A variant of vfio-pci that is loaded too, such as "xe-vfio-pci". NULL: none. */
        const char *vfio_driver;
        bool has_drm;             /* both drivers add a card and a render node to each bound function */
        bool has_sriov_configure; /* else writing sriov_numvfs gives ENOENT */
        bool keeps_vfs;           /* virtual functions stay when the driver leaves the physical one */
        bool vf_is_vfio;          /* vf_driver registers bound virtual functions with VFIO */

        /* Probe of `driver` or `vf_driver` (function->index tells PF from VF): adds the vendor's files. Files
         * below the last element of function->drm, the card, vanish with the card. A negative errno fails the
         * probe. May call sriov_enable(), as drivers with a fixed number of VFs do. */
        int (*bind)(GpuFunction *function);
        /* Counterpart of bind(): removes the files that bind() made. */
        void (*unbind)(GpuFunction *function);
        /* Called before the first virtual function is made: reserves resources for `count` VFs. Returns the
         * number of VFs to make (normally `count`), or the errno that the write to sriov_numvfs fails with. */
        int (*vfs_enable)(Gpu *gpu, unsigned count);
        /* Called after the last virtual function has gone, or after their creation failed. */
        void (*vfs_disable)(Gpu *gpu);
        /* Called when a virtual function and its links exist and no driver has seen the VF yet; vf_remove:
         * before the VF goes. */
        void (*vf_add)(GpuFunction *function);
        void (*vf_remove)(GpuFunction *function);
        /* A VFIO driver is about to bind: a negative errno fails the probe. */
        int (*vfio_bind)(GpuFunction *function);
};

struct GpuFunction {
        Gpu *gpu;
        unsigned index; /* 0: the physical one; N: virtfn(N - 1), vfN in sriov_admin/ */
        PciSpec spec;
        Device *device;     /* NULL: not present */
        MdevParent *parent; /* NULL: offers no types */
        void *state;        /* the model's */
        /* Models leave the fields below alone. */
        bool locked; /* the kernel's device lock: driver.h */
        GPtrArray *drm;
        Device *vfio_group; /* NULL: not registered with VFIO */
        Device *vfio_dev;
        unsigned holds; /* open files of other programs */
        bool leaving;   /* VFIO refuses new opens */
};

struct Gpu {
        const GpuOps *ops;
        void *state; /* the model's */
        unsigned vf_device_id;
        unsigned vf_offset;
        unsigned vf_stride;
        unsigned total_vfs;   /* content of sriov_totalvfs; a driver may lower it */
        unsigned vfs_at_plug; /* enabled at plug, as by a service at boot */
        unsigned n_vfs;       /* enabled now */
        bool autoprobe;
        unsigned n_functions; /* the first is the physical one; fixed */
        GpuFunction *functions;
};

/* Called with the lock held. The GPU appears with gpu_plug(). n_vfs 0: no SR-IOV. */
Gpu *gpu_new(const PciSpec *spec, const GpuOps *ops, unsigned n_vfs, unsigned vf_device_id, unsigned vf_offset,
             unsigned vf_stride);
/* -EEXIST: is plugged already. Called with the lock held, which may be released meanwhile. */
int gpu_plug(Gpu *gpu);

/* NULL: no such function. The function may be absent at the moment. */
GpuFunction *gpu_find_function(const char *address);
/* All GPUs, in order of creation. */
GPtrArray *gpu_all(void);

/* Run-time plugging, called without the lock. -ENODEV: no such GPU. */
int gpu_plug_by_address(const char *address);
int gpu_unplug_by_address(const char *address);
int gpu_register_by_name(const char *name);
int gpu_unregister_by_name(const char *name);

/* Returns the address of the GPU that a path goes through, directly or by one of its virtual functions, or
 * NULL. For fault_set_alias(). */
const char *gpu_alias(const char *path);

/* A parent that is not on a bus: /sys/devices/virtual/NAME/NAME of class NAME. With the lock held. */
void gpu_add_virtual_parent(MdevParent *parent);
