/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The objects of the daemon as plain values, read from GetManagedObjects, the List methods and signals. A
 * member has the same name in JSON. On the bus, the property FooBar has the key foo_bar in tables and
 * dictionaries. Texts and lists are never NULL unless the comment says otherwise; an unknown text is "". */

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-bus.h>

#include "base/macros.h"

/* A name and a text: an option of a type and its help, an attribute of an instance and its value. */
typedef struct PairInfo {
        char *name;
        char *text;
} PairInfo;

typedef struct ModeInfo {
        char *name;
        char *value;
        char **choices; /* NULL: the mode can only be shown */
        char *help;     /* NULL: none */
} ModeInfo;

typedef struct VfInfo {
        uint32_t index;
        char *name;
        char *instance; /* path, "/": none */
        char *driver;
        char *driver_override;
        char *state; /* "bound-free", "" */
} VfInfo;

/* A type of a GPU. The members up to max_instances are shared by all GPUs that offer the type: see GpuInfo. */
typedef struct TypeInfo {
        char *id;
        char *name;
        char *description;
        char *device_api;
        char **aliases;
        char *key;
        char *product;
        char *class;
        char *earlier_name;
        bool mig;
        GPtrArray *options;        /* PairInfo */
        int64_t framebuffer_bytes; /* all numbers: -1 when the driver does not say */
        int64_t low_gm_bytes;
        int64_t high_gm_bytes;
        int64_t fences;
        int64_t weight;
        int64_t heads;
        int64_t frame_rate_limit;
        int64_t max_x;
        int64_t max_y;
        int64_t max_instances;

        int64_t available;
        const char *why_not; /* borrowed from GpuInfo.texts */
        const char *hint;
        const char *hint_id;
} TypeInfo;

typedef struct GpuInfo {
        char *path; /* the first member of every object */
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
        char *hint;
        char *hint_id;
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
        uint64_t memory_bytes;      /* UINT64_MAX: unknown */
        uint64_t memory_used_bytes; /* UINT64_MAX: unknown */
        uint32_t instance_count;
        uint32_t type_count;
        char *job; /* path, "/": none */
        uint32_t queued_jobs;
        uint64_t scanned_usec;
        char **parents;
        GPtrArray *modes;      /* ModeInfo */
        GPtrArray *kept_modes; /* PairInfo */
        int32_t kept_vfs;      /* -1: no number is kept */
        char *kept_reason;     /* "": no kept setting waits */

        GPtrArray *types;     /* TypeInfo, in the order of ListTypes */
        GPtrArray *type_rows; /* TypeInfo: owns the constant members; NULL: no types were read */
        GPtrArray *texts;     /* char *: owns why_not, hint and hint_id */
        GPtrArray *vfs;       /* VfInfo, in the order of ListVfs */
} GpuInfo;

typedef struct InstanceInfo {
        char *path;
        char *uuid;
        char *name;
        char *gpu; /* path */
        char *parent;
        char *slot;
        char *type;
        char *type_name;
        char *device_api;
        char *driver;
        char *origin;
        char *state;
        char *owner; /* a user id in decimal, or another form */
        uint64_t created_usec;
        uint64_t memory_bytes; /* UINT64_MAX: unknown */
        int32_t iommu_group;
        char *job;        /* path, "/": none */
        char *definition; /* "current", "differs", "": none */
        char *sysfs_path;
        GPtrArray *attributes; /* PairInfo */

        char *gpu_name; /* taken from the path; "": no GPU */
} InstanceInfo;

/* A definition: an instance that vgpud can create again. It is no object of the daemon. */
typedef struct DefinitionInfo {
        char *uuid; /* of the definition and of its instance; in the place of an object's path */
        char *name;
        char *type; /* key */
        char *gpu;  /* name; "": any GPU of the pool */
        char *parent;
        char *pool;
        char *owner;
        uint64_t created_usec;
        char *state; /* "stopped", "starting", "waiting", "active", "foreign", "unknown" */
        bool differs;
        bool autostart;
        char *reason; /* why the definition waits; "" in other states */
        char *hint;
        char *hint_id;
        GPtrArray *attributes; /* PairInfo */
} DefinitionInfo;

/* The details of a job; the kind decides which members apply. */
typedef struct JobDetails {
        char *type;    /* all texts: NULL when left out */
        int64_t count; /* -1 when left out */
        char *mode;
        char *value;
        int foreign; /* -1 when left out */
} JobDetails;

typedef struct JobInfo {
        char *path;
        uint32_t id;
        char *kind;
        char *state;      /* "ended" for a job that has ended */
        char *result;     /* "" unless ended */
        char *gpu;        /* path, "/": none */
        char **instances; /* paths, at most 32 unless read by GetJob */
        uint32_t n_instances;
        uint32_t requester;
        uint64_t created_usec;
        uint64_t started_usec;
        uint64_t ended_usec;
        JobDetails details;
        char *error_name;
        char *message;
        char *hint;
        char *hint_id;
        GPtrArray *failures; /* FailureInfo */
        uint32_t n_failures;

        char *gpu_name; /* taken from the path; "": no GPU */
} JobInfo;

/* Each object of a host is one of these. */
typedef enum ObjectKind {
        OBJECT_GPU,
        OBJECT_INSTANCE,
        OBJECT_DEFINITION, /* has a UUID in place of a path */
        OBJECT_JOB,
        _OBJECT_KIND_MAX,
        _OBJECT_KIND_INVALID = -EINVAL,
} ObjectKind;

typedef struct Host {
        GPtrArray *objects[_OBJECT_KIND_MAX]; /* GpuInfo, …; in the order of host_sort() */
} Host;

Host *host_new(void);
Host *host_free(Host *h);
static inline void host_freep(Host **h)
{
        *h = host_free(*h);
}
#define _cleanup_host_ _cleanup_(host_freep)

/* Add an object with this path, or return the existing object. The caller must call host_sort() afterwards. */
void *host_add(Host *h, ObjectKind kind, const char *path);
void host_remove_path(Host *h, ObjectKind kind, const char *path);

/* Reading replies. All return a negative errno for a reply of an unexpected form. Values of an unexpected type
 * and unknown keys are skipped, because a newer daemon may send more. */
int host_read_managed(Host *h, sd_bus_message *m); /* GetManagedObjects: replaces all objects */
int host_read_table(Host *h, ObjectKind kind,
                    sd_bus_message *m); /* ListGpus, …: replaces the objects of a kind */
/* Adds the objects of a table to those of the host. No object may be in both. Call host_sort() after the last
 * table. */
int host_add_table(Host *h, ObjectKind kind, sd_bus_message *m);

/* Reads an a{sv} of properties, from GetAll or a signal. Adds the object if it is new. `changed` (may be
 * NULL) gets the keys whose values differ now, as static strings. */
int host_read_object(Host *h, ObjectKind kind, const char *path, sd_bus_message *m, GPtrArray *changed,
                     void **ret);
int host_read_job(Host *h, const char *path, sd_bus_message *m,
                  JobInfo **ret); /* the a{sv} of GetJob or JobRemoved */
/* Reads the a{sv} of GetDefinition, DefinitionAdded or DefinitionChanged. `changed`: as for
 * host_read_object(). */
int host_read_definition(Host *h, const char *uuid, sd_bus_message *m, GPtrArray *changed,
                         DefinitionInfo **ret);

/* Sets the members job and queued_jobs of GPUs and instances from the jobs, because the daemon does not
 * announce changes of these members. */
void host_derive_jobs(Host *h);

/* Objects by number. */
static inline GpuInfo *host_gpu(const Host *h, unsigned i)
{
        return g_ptr_array_index(h->objects[OBJECT_GPU], i);
}
static inline InstanceInfo *host_instance(const Host *h, unsigned i)
{
        return g_ptr_array_index(h->objects[OBJECT_INSTANCE], i);
}
static inline DefinitionInfo *host_definition(const Host *h, unsigned i)
{
        return g_ptr_array_index(h->objects[OBJECT_DEFINITION], i);
}
static inline JobInfo *host_job(const Host *h, unsigned i)
{
        return g_ptr_array_index(h->objects[OBJECT_JOB], i);
}
static inline unsigned host_n(const Host *h, ObjectKind kind)
{
        return h->objects[kind]->len;
}
