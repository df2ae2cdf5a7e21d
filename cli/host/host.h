/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the daemon knows, as plain values: read from GetManagedObjects, kept up to date from signals (monitor),
 * found by what a person typed, and written as JSON. The JSON keys are the names of the D-Bus properties in
 * lower case with "_" between words; a property that the daemon does not send keeps its unknown value. */

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-bus.h>

#include "base/error.h"

/* A name and a text: an option of a type and its help, an attribute of an instance and its value. */
typedef struct PairInfo {
        char *name;
        char *text;
} PairInfo;

typedef struct ModeInfo {
        char *name;
        char *value;
        char **choices; /* NULL: it is only shown */
        char *help;     /* NULL: none */
} ModeInfo;

typedef struct VfInfo {
        uint32_t index;
        char *name;
        char *instance; /* path, "/" for none */
        char *driver;   /* "" for none, or not known */
        char *override; /* driver_override; "" likewise */
} VfInfo;

typedef struct TypeInfo {
        char *id;
        char *name;
        char *description;
        char *device_api;
        char **aliases;
        int64_t available; /* here and below: -1 when the driver does not tell */
        int64_t framebuffer_bytes;
        int64_t low_gm_bytes;
        int64_t high_gm_bytes;
        int64_t fences;
        int64_t weight;
        int64_t heads;
        int64_t frame_rate_limit;
        int64_t max_x;
        int64_t max_y;
        int64_t max_instances;
        char *why_not; /* these: NULL when there is nothing to say */
        char *key;
        char *product;
        char *class;
        char *earlier_name;
        bool mig;
        GPtrArray *options; /* PairInfo */
} TypeInfo;

typedef struct GpuInfo {
        char *path; /* on the bus */
        char *name;
        char *sysfs_path;
        char *subsystem;
        uint16_t vendor_id;
        uint16_t device_id;
        uint16_t subsystem_vendor_id;
        uint16_t subsystem_device_id;
        uint32_t class;
        char *vendor_name;
        char *device_name;
        char *driver;
        char *back_end;
        char *state;
        char *reason;
        bool stale;
        int32_t numa_node;
        int32_t iommu_group;
        char *link_speed;
        char *link_speed_max;
        uint32_t link_width;
        uint32_t link_width_max;
        bool boot_display;
        uint32_t total_vfs;
        uint32_t enabled_vfs;
        GPtrArray *vfs; /* VfInfo */
        char **parents;
        GPtrArray *types; /* TypeInfo, in the order of the daemon */
        GPtrArray *modes; /* ModeInfo */
        char *job;        /* path, "/" for none */
        uint32_t queued_jobs;
        uint64_t scanned_usec;
} GpuInfo;

typedef struct HandOver {
        char *sysfs_path;
        int64_t iommu_group; /* -1: none */
        char *group_node;
        char *cdev_node;
        char *libvirt_xml;
        char **qemu_args;
} HandOver;

typedef struct InstanceInfo {
        char *path; /* on the bus */
        char *uuid;
        char *name;
        char *gpu;      /* path */
        char *gpu_name; /* taken from the path */
        char *parent;
        char *slot;
        char *type;
        char *type_name;
        char *device_api;
        char *driver;
        char *origin;
        char *state;
        uint32_t owner;
        uint64_t created_usec;
        char *sysfs_path;
        int32_t iommu_group;
        GPtrArray *attributes; /* PairInfo */
        HandOver hand_over;
        char *job; /* path, "/" for none */
} InstanceInfo;

typedef struct JobInfo {
        char *path; /* on the bus */
        uint32_t id;
        char *kind;
        char *state;
        char *gpu;
        char **instances; /* paths */
        char *type;
        uint32_t vfs; /* set-vfs */
        char *mode;   /* configure */
        char *value;  /* configure */
        uint32_t requester;
        uint64_t created_usec;
        uint64_t started_usec;
        uint64_t timeout_usec;
} JobInfo;

/* Every row of a host is one of these; the kind says which. */
typedef enum ObjectKind {
        OBJECT_GPU,
        OBJECT_INSTANCE,
        OBJECT_JOB,
        _OBJECT_KIND_MAX,
        _OBJECT_KIND_INVALID = -EINVAL,
} ObjectKind;

typedef struct Host {
        GPtrArray *objects[_OBJECT_KIND_MAX]; /* GpuInfo, InstanceInfo, JobInfo; in the order of host_sort() */
} Host;

Host *host_new(void);
Host *host_free(Host *h);
static inline void host_freep(Host **h)
{
        *h = host_free(*h);
}
#define _cleanup_host_ _cleanup_(host_freep)

/* Read the answer of GetManagedObjects. A negative errno when it is not what it should be. */
int host_read(Host *h, sd_bus_message *answer);
/* Read the answers of ListInstances and ListTypes: the host has only these then, with what is in the answer. */
int host_read_instances(Host *h, sd_bus_message *answer);
int host_read_types(Host *h, sd_bus_message *answer);
/* One object: the message is at an a{sv} of properties. host_read_object() makes it if it is new. `changed`
 * (may be NULL) gets the JSON keys of what is different now, static strings. */
int host_read_object(Host *h, ObjectKind kind, const char *path, sd_bus_message *m, GPtrArray *changed,
                     void **ret);
/* Rows by number. */
static inline GpuInfo *host_gpu(const Host *h, unsigned i)
{
        return g_ptr_array_index(h->objects[OBJECT_GPU], i);
}
static inline InstanceInfo *host_instance(const Host *h, unsigned i)
{
        return g_ptr_array_index(h->objects[OBJECT_INSTANCE], i);
}
static inline JobInfo *host_job(const Host *h, unsigned i)
{
        return g_ptr_array_index(h->objects[OBJECT_JOB], i);
}
static inline unsigned host_n(const Host *h, ObjectKind kind)
{
        return h->objects[kind]->len;
}
