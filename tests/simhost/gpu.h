/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * GPUs as the models describe them: a physical function, its virtual functions, a driver, DRM nodes, mediated
 * device parents on one or the other. It owns what happens to them at run time: bind and unbind, plug and
 * unplug, the loading and unloading of the module that registers parents.
 */

#include "simhost/mdev.h"

typedef struct Gpu Gpu;
typedef struct GpuFunction GpuFunction;

struct GpuFunction {
        Gpu *gpu;
        PciSpec spec;
        Device *device;     /* NULL: unplugged */
        MdevParent *parent; /* NULL: offers no types */
        bool bound;
};

struct Gpu {
        const char *driver;
        bool has_drm;
        unsigned vf_device_id;
        unsigned vf_offset;
        unsigned vf_stride;
        unsigned n_functions; /* the first is the physical one */
        GpuFunction *functions;
        GPtrArray *drm;
};

/* With the lock held. The GPU is not there until it is plugged. */
Gpu *gpu_new(const PciSpec *spec, const char *driver, bool has_drm, unsigned n_vfs, unsigned vf_device_id,
             unsigned vf_offset, unsigned vf_stride);
/* -EEXIST: is there already. With the lock held. */
int gpu_plug(Gpu *gpu);

/* At run time, without the lock. -ENODEV: no such GPU. */
int gpu_plug_by_address(const char *address);
int gpu_unplug_by_address(const char *address);
int gpu_bind_by_address(const char *driver, const char *address);
/* driver NULL: whichever it is. */
int gpu_unbind_by_address(const char *driver, const char *address);
int gpu_register_by_name(const char *name);
int gpu_unregister_by_name(const char *name);

/* The address of the GPU that a path goes through, if only by a virtual function; for faults. */
const char *gpu_alias(const char *path);

/* A parent that is not on a bus: /sys/devices/virtual/NAME/NAME of class NAME. With the lock held. */
void gpu_add_virtual_parent(MdevParent *parent);
