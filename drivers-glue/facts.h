/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Facts about a GPU that need no back end: immutable, reference counted, shared between threads. A GPU is a
 * physical PCI function, or a device of another bus that registers mediated types with device_api vfio-pci (the
 * kernel's samples mtty, mdpy, mbochs). VFs are not GPUs. */

#include <stdbool.h>
#include <stdint.h>

#include "base/macros.h"
#include "base/pci-addr.h"
#include "drivers-glue/io/io.h"

/* A device below /sys/class/mdev_bus: the GPU itself or one of its VFs. */
typedef struct MdevParent {
        char *name;   /* sysfs name, "0000:08:00.4", "mdpy" */
        char *path;   /* below /sys, no links in it */
        char *physfn; /* sysfs name of its PF; NULL unless the parent is a VF */
} MdevParent;

/* A VF of the GPU. */
typedef struct VgpuVf {
        uint32_t index; /* virtfnINDEX, from 0 */
        char *name; /* sysfs name: "0000:08:00.4"; may be on another bus than the GPU, never in another domain
                     */
        char *path; /* below /sys, no links in it */
} VgpuVf;

/* Interfaces of vendors, detected by the names of files, which are not opened; and VGPU_FEATURE_ADMITTED. */
typedef enum VgpuFeature {
        VGPU_FEATURE_NVIDIA_VF = 1 << 0, /* a VF has nvidia/current_vgpu_type */
        VGPU_FEATURE_XE_ADMIN = 1 << 1,  /* the GPU has sriov_admin/ (xe, Linux 6.19) */
        VGPU_FEATURE_I915_IOV = 1 << 2, /* drm/cardN has iov/ or prelim_iov/ (i915 out of tree); see iov_path */
        VGPU_FEATURE_GIM = 1 << 3,      /* partition files of AMD's gim 8 */
        VGPU_FEATURE_GIM_LEGACY = 1 << 4,     /* getvf and relvf of AMD's first gim */
        VGPU_FEATURE_XENGT = 1 << 5,          /* the integrated Intel GPU, with /sys/kernel/vgt/control */
        VGPU_FEATURE_ADMITTED = 1 << 6,       /* not a GPU by its class, but by also= in vgpud.conf */
        VGPU_FEATURE_NVIDIA_MANAGER = 1 << 7, /* NVIDIA's GPU, with FACTS_NVIDIA_MANAGER loaded */
} VgpuFeature;

/* A module of NVIDIA's vGPU manager, below /sys. */
#define FACTS_NVIDIA_MANAGER "module/nvidia_vgpu_vfio"

typedef struct GpuFacts {
        int refs;

        char *name;      /* sysfs name: "0000:00:02.0", "mdpy"; the GPU's name everywhere */
        char *path;      /* below /sys, no links in it: "devices/pci0000:00/0000:00:02.0" */
        char *subsystem; /* "pci", "mdpy", …; "" if none */
        bool unread;     /* the files of the GPU block their reader: only name and path are known */
        bool is_pci;     /* the next six members are valid */
        PciAddr address;
        uint16_t vendor, device, subsystem_vendor, subsystem_device;
        uint32_t class; /* 24 bits: 0x030000 VGA, 0x030200 3D, 0x038000 other display, 0x12.... accelerator */
        char *vendor_name;        /* name in udev's hwdb; NULL if unknown */
        char *device_name;        /* name in udev's hwdb; NULL if unknown */
        char *driver;             /* kernel driver bound to it; NULL if none */
        uint64_t driver_identity; /* vgpu_io_identify() of the link to the driver, which each probe of the
                                     driver creates anew; 0: none */
        int numa_node;            /* -1: unknown, or the host has none */
        int iommu_group;          /* -1: none */
        char *link_speed, *link_speed_max;   /* "8.0 GT/s PCIe"; NULL if unknown */
        uint32_t link_width, link_width_max; /* lanes; 0 if unknown */
        bool boot_display;                   /* boot_vga */
        uint64_t memory_bytes;               /* graphics memory, from sysfs; 0: unknown, see GpuSnapshot too */
        uint32_t total_vfs;                  /* sriov_totalvfs; 0 without SR-IOV */
        int total_vfs_error;  /* negative errno if sriov_totalvfs exists, but cannot be read; -EBADMSG: not a
                                 number */
        bool has_sriov;       /* sriov_totalvfs exists and can be read */
        char *vf_limit;       /* path below /sys of the setting of the driver that makes total_vfs 0
                                 (vf_limit_find()); NULL: none */
        uint32_t enabled_vfs; /* number of virtfn links; reading sriov_numvfs would wait for the device lock */
        bool autoprobe;       /* sriov_drivers_autoprobe: the kernel binds drivers to new VFs */
        GPtrArray *vfs;       /* owned: VgpuVf, sorted by index; without VFs whose link cannot be read */
        unsigned features;    /* VgpuFeature */
        char *iov_path;       /* i915: admin tree below /sys, no links in it; NULL without I915_IOV */
        GPtrArray *mdev_parents; /* owned: MdevParent, sorted by name: the GPU and its VFs, if registered */
        uint64_t began_usec;     /* GpuSeed.began_usec; ignored by gpu_facts_equal() */
} GpuFacts;

/* Input of gpu_facts_read(), from the discovery of the device. */
typedef struct GpuSeed {
        const char *name;        /* sysfs name */
        const char *path;        /* below /sys */
        const char *vendor_name; /* may be NULL */
        const char *device_name; /* may be NULL */
        bool admitted;           /* VGPU_FEATURE_ADMITTED */
        uint64_t began_usec;     /* CLOCK_MONOTONIC before the first read, including that of mdev_parents; of
                                  * two sets of facts, the one that began later is newer */
} GpuSeed;

/* Read the facts. A missing attribute keeps the "unknown" value. -ENODEV if the device went away.
 * mdev_parents: all parents of the host (mdev_parents_read()); those of this GPU are copied. */
int gpu_facts_read(VgpuIo *io, const GpuSeed *seed, const GPtrArray *mdev_parents, GpuFacts **ret);

/* Facts with a name and a path; everything else is unknown. */
GpuFacts *gpu_facts_new(const char *name, const char *path);
GpuFacts *gpu_facts_ref(const GpuFacts *f);
GpuFacts *gpu_facts_unref(const GpuFacts *f);
bool gpu_facts_equal(const GpuFacts *a, const GpuFacts *b);
/* True if the choice of the back end depends on the drivers of the VFs. After a change of a VF's driver a
 * scan is not enough: the facts must be read again. */
bool gpu_facts_follow_vf_drivers(const GpuFacts *f);
/* True if the reading of `a` began before that of `b`, so that `a` may be stale. Both belong to one GPU. */
static inline bool gpu_facts_is_older(const GpuFacts *a, const GpuFacts *b)
{
        return a->began_usec < b->began_usec;
}

/* Read /sys/class/mdev_bus: MdevParent, owned; an empty array if the folder is missing. */
int mdev_parents_read(VgpuIo *io, GPtrArray **ret);
MdevParent *mdev_parent_new(const char *name, const char *path, const char *physfn);
MdevParent *mdev_parent_free(MdevParent *p);

VgpuVf *vgpu_vf_new(uint32_t index, const char *name, const char *path);
VgpuVf *vgpu_vf_free(VgpuVf *v);
/* Add the VFs of the GPU at this path, whose folder contains `names`, to `vfs` (VgpuVf, owned), sorted by
 * index. *ret_links counts all links, including those that vanish meanwhile. If a link cannot be followed for
 * another reason, the other VFs are added, and the negative errno is returned. */
int vgpu_vfs_read(VgpuIo *io, const char *path, char **names, GPtrArray *vfs, uint32_t *ret_links);
/* The VF with this sysfs name; NULL if the GPU has none. */
const VgpuVf *gpu_facts_find_vf(const GpuFacts *f, const char *name);

/* 1 if the parent registers at least one type with device_api vfio-pci, 0 if not, or a negative errno. */
int mdev_parent_is_gpu(VgpuIo *io, const MdevParent *p);
