/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What is known about a GPU without asking its back end: immutable once made, reference counted, safe to share
 * between threads. Here "GPU" is a physical function of PCI, or a device of another bus that registers mediated
 * types with device_api vfio-pci (the kernel's samples mtty, mdpy, mbochs). Virtual functions are not GPUs. */

#include <stdbool.h>
#include <stdint.h>

#include "base/macros.h"
#include "base/pci-addr.h"
#include "drivers-glue/io/io.h"

/* A device below /sys/class/mdev_bus: the GPU itself or one of its virtual functions. */
typedef struct MdevParent {
        char *name;   /* sysfs name, "0000:08:00.4", "mdpy" */
        char *path;   /* below /sys, no links in it */
        char *physfn; /* sysfs name of its physical function, NULL if it is none's virtual function */
} MdevParent;

/* A virtual function of the GPU. */
typedef struct VgpuVf {
        uint32_t index; /* virtfnINDEX, from 0 */
        char *name; /* sysfs name: "0000:08:00.4"; may be on another bus than the GPU, never in another domain
                     */
        char *path; /* below /sys, no links in it */
} VgpuVf;

/* Which interfaces of vendors are there, by the names of files alone: nothing is opened to find out. */
typedef enum VgpuFeature {
        VGPU_FEATURE_NVIDIA_VF = 1 << 0, /* a virtual function has nvidia/current_vgpu_type */
        VGPU_FEATURE_XE_ADMIN = 1 << 1,  /* the GPU has sriov_admin/ (xe, Linux 6.19) */
        VGPU_FEATURE_I915_IOV =
                        1 << 2,    /* below drm/cardN is iov/ or prelim_iov/ (i915 out of tree); see iov_path */
        VGPU_FEATURE_GIM = 1 << 3, /* partition files of AMD's gim 8 */
        VGPU_FEATURE_GIM_LEGACY = 1 << 4, /* getvf and relvf of AMD's first gim */
        VGPU_FEATURE_XENGT = 1 << 5,      /* /sys/kernel/vgt/control, and it is the integrated Intel GPU */
        VGPU_FEATURE_ADMITTED = 1 << 6, /* no GPU by its class, but the configuration says also=VENDOR:DEVICE */
} VgpuFeature;

typedef struct GpuFacts {
        int refs;

        char *name;      /* sysfs name: "0000:00:02.0", "mdpy"; the GPU's name everywhere */
        char *path;      /* below /sys, no links in it: "devices/pci0000:00/0000:00:02.0" */
        char *subsystem; /* "pci", "mdpy", …; "" if it has none */
        bool is_pci;     /* then the following six hold */
        PciAddr address;
        uint16_t vendor, device, subsystem_vendor, subsystem_device;
        uint32_t class; /* 24 bits: 0x030000 VGA, 0x030200 3D, 0x038000 other display, 0x12.... accelerator */
        char *vendor_name;                   /* from udev's hwdb; NULL if unknown */
        char *device_name;                   /* from udev's hwdb; NULL if unknown */
        char *driver;                        /* kernel driver bound to it; NULL if none */
        int numa_node;                       /* -1: unknown, or the machine has none (never 0 for unknown) */
        int iommu_group;                     /* -1: none */
        char *link_speed, *link_speed_max;   /* "8.0 GT/s PCIe"; NULL if unknown */
        uint32_t link_width, link_width_max; /* lanes; 0 if unknown */
        bool boot_display;                   /* boot_vga */
        uint32_t total_vfs;                  /* sriov_totalvfs; 0 without SR-IOV */
        uint32_t enabled_vfs; /* number of virtfn links (reading sriov_numvfs would wait for the device lock) */
        bool autoprobe; /* sriov_drivers_autoprobe: the kernel looks for drivers of virtual functions by itself
                         */
        GPtrArray *vfs; /* owned: VgpuVf, sorted by index; those whose link could be read */
        unsigned features;       /* VgpuFeature */
        char *iov_path;          /* i915: the admin tree below /sys, no links in it; NULL without I915_IOV */
        GPtrArray *mdev_parents; /* owned: MdevParent, sorted by name; the GPU itself and its VFs, as far as
                                    registered */
        uint64_t began_usec;     /* GpuSeed.began_usec; gpu_facts_equal() does not look at it */
} GpuFacts;

/* What whoever found the device knows already. */
typedef struct GpuSeed {
        const char *name;        /* sysfs name */
        const char *path;        /* below /sys */
        const char *vendor_name; /* may be NULL */
        const char *device_name; /* may be NULL */
        bool admitted;           /* VGPU_FEATURE_ADMITTED */
        uint64_t began_usec;     /* CLOCK_MONOTONIC, before anything of it was read, mdev_parents too: of two
                                  * readings the one that began later is the truth */
} GpuSeed;

/* Read the facts; attributes that are not there leave the "unknown" value. -ENODEV when the device has gone.
 * mdev_parents: all of the host's (mdev_parents_read()); those that belong to this GPU are copied. */
int gpu_facts_read(VgpuIo *io, const GpuSeed *seed, const GPtrArray *mdev_parents, GpuFacts **ret);

/* For tests and for the reader above: all zero but refs 1, numa_node -1, iommu_group -1, name and path set. */
GpuFacts *gpu_facts_new(const char *name, const char *path);
GpuFacts *gpu_facts_ref(const GpuFacts *f);
GpuFacts *gpu_facts_unref(const GpuFacts *f);
bool gpu_facts_equal(const GpuFacts *a, const GpuFacts *b);
/* True where binding a VF may change the files by which the back end is chosen: then a new driver of a VF calls
 * for new facts, not only for a scan. */
bool gpu_facts_follow_vf_drivers(const GpuFacts *f);
/* Of the same GPU: a was read before b, and may say what is true no longer. */
static inline bool gpu_facts_is_older(const GpuFacts *a, const GpuFacts *b)
{
        return a->began_usec < b->began_usec;
}

/* All of /sys/class/mdev_bus; an empty array when the folder is missing. Elements are MdevParent, owned. */
int mdev_parents_read(VgpuIo *io, GPtrArray **ret);
MdevParent *mdev_parent_new(const char *name, const char *path, const char *physfn);
MdevParent *mdev_parent_free(MdevParent *p);

VgpuVf *vgpu_vf_new(uint32_t index, const char *name, const char *path);
VgpuVf *vgpu_vf_free(VgpuVf *v);
/* The virtual functions of the GPU at this path, whose folder contains these names: they are added to `vfs`
 * (VgpuVf, owned), sorted by index. *ret_links counts also those whose link goes while it is read. 0, or the
 * error of a link that cannot be followed for another reason; all others have been added then. */
int vgpu_vfs_read(VgpuIo *io, const char *path, char **names, GPtrArray *vfs, uint32_t *ret_links);
/* The virtual function of that sysfs name; NULL if it is none of this GPU's. */
const VgpuVf *gpu_facts_find_vf(const GpuFacts *f, const char *name);

/* 1 when the parent registers at least one type with device_api vfio-pci, 0 when not, negative errno. */
int mdev_parent_is_gpu(VgpuIo *io, const MdevParent *p);
