/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* One pass over the devices of the host, in a lane: find the GPUs, and read the facts of each.
 *
 * Any attribute may block its reader for ever. A discovery notes device and file before each read. If a read
 * does not return, the inventory abandons the discovery and starts another discovery in another lane, without
 * the files of the blocked device. */

#include "daemon/work/lane.h"
#include "drivers-glue/facts.h"
#include "drivers-glue/io/watch.h"

typedef struct Inventory Inventory;

typedef enum DeviceKind {
        DEVICE_UNKNOWN,
        DEVICE_GPU,
        DEVICE_OTHER,
} DeviceKind;

/* A device with a file whose reader is blocked. */
typedef struct BlockedDevice {
        char *name;          /* owned; sysfs name */
        char *path;          /* owned; below /sys; NULL: not known */
        char *file;          /* owned; below /sys: the file that blocked first */
        DeviceKind kind;     /* UNKNOWN: the device blocked before its class was known */
        unsigned tries;      /* number of discoveries that the device has blocked */
        uint64_t since_usec; /* CLOCK_MONOTONIC */
} BlockedDevice;

BlockedDevice *blocked_device_copy(const BlockedDevice *b);
void blocked_device_free(gpointer b);
/* Find the BlockedDevice of this name in the array; NULL: there is none. */
BlockedDevice *blocked_device_find(const GPtrArray *blocked, const char *name);

typedef struct PciFunction {
        char *path;    /* owned; below /sys */
        int numa_node; /* -1: not known */
} PciFunction;

PciFunction *pci_function_new(const char *path, int numa_node);
void pci_function_free(gpointer f);

typedef struct Discovery {
        LaneWork work; /* first; the owner sets started and done */

        /* of the owner */
        Inventory *inventory; /* borrowed; NULL: the inventory was stopped */
        Lane *lane;           /* owned once the discovery is abandoned */
        unsigned lane_number;
        char *blocker;             /* owned: name of the blocked device; NULL: not abandoned */
        sd_event_source *deadline; /* owned */
        bool told;                 /* the wait for a blocked read was logged */

        /* input */
        GArray *also;     /* ref: Config.also */
        GPtrArray *avoid; /* owned: BlockedDevice; no file of these devices is read */

        /* result */
        GPtrArray *facts; /* owned: GpuFacts */
        GPtrArray *pci;   /* owned: PciFunction of every function; the NUMA nodes of GPUs are only in `facts` */
        GPtrArray *blocked;  /* owned: BlockedDevice of `avoid`, without removed devices */
        uint64_t began_usec; /* CLOCK_MONOTONIC */
        int result;

        /* shared by the threads */
        IoWatch watch;
        pthread_mutex_t mutex;      /* protects the members below */
        char *device, *device_path; /* owned; the device that is read; NULL: none */
        DeviceKind device_kind;
} Discovery;

/* Copies `avoid`. */
Discovery *discovery_new(GArray *also, const GPtrArray *avoid);
void discovery_free(Discovery *d);

/* Main thread: the time that the present read has taken so far; 0: no read is in progress, and *ret is not set.
 * *ret describes the device of the read, and the caller frees it. Its name is NULL if the file belongs to no
 * single device. */
uint64_t discovery_get_age(Discovery *d, BlockedDevice **ret);

/* True for display controllers and processing accelerators. */
bool discovery_class_is_gpu(uint32_t class);
/* True if `also` (Config.also) has the id: vendor << 16 | device. */
bool discovery_id_is_admitted(const GArray *also, uint32_t id);
