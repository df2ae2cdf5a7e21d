/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the files of the model share: manager.c owns the tables and the requests, gpu.c a GPU and its instances,
 * job.c the life of a job, inventory.c the discovery. */

#include "daemon/known-types.h"
#include "daemon/lane.h"
#include "daemon/manager.h"
#include "daemon/records.h"

typedef struct Inventory Inventory;

struct Manager {
        sd_event *event;      /* ref */
        const Config *config; /* borrowed */
        LaneIoFactory factory;
        void *factory_userdata;
        int runtime_fd;          /* owned */
        Records *records;        /* owned */
        KnownTypes *known_types; /* owned */
        Lanes *lanes;            /* owned */
        Inventory *inventory;    /* owned */
        GHashTable *gpus;        /* owned: sysfs name (owned) -> Gpu */
        GHashTable *instances;   /* borrowed from their GPUs: UUID in the desc -> Instance */
        GHashTable *jobs;        /* owned: id -> Job */
        uint32_t last_job_id;
        char boot_id[UUID_STRLEN + 1];
        bool stopping;
        const ManagerEvents *events; /* never NULL */
        void *events_userdata;

        void (*ready)(Manager *m, void *userdata); /* NULL once called */
        void *ready_userdata;
        bool inventory_known; /* the first discovery has ended */
        sd_event_source *start_timer;
};

#define MANAGER_EMIT(m, event, ...)                                          \
        do {                                                                 \
                Manager *_m = (m);                                           \
                if (_m->events->event)                                       \
                        _m->events->event(__VA_ARGS__, _m->events_userdata); \
        } while (0)

/* manager.c */
int manager_open(Manager *m); /* runtime directory, records, lanes: what manager_start() does first */
/* GpuFacts of all GPUs that there were; CLOCK_MONOTONIC of when the looking began. What was seen since then is
 * newer. */
void manager_apply_inventory(Manager *m, const GPtrArray *facts, uint64_t began_usec);
void manager_check_ready(Manager *m);
void manager_submit_job(Manager *m, Job *job); /* takes it over, announces it */
/* Remove what an earlier daemon left half made. */
void manager_undo(Manager *m, Instance *instance);
void manager_end_job(Manager *m, Job *job); /* it has ended: tell everybody, free it */
uint64_t manager_now_realtime(void);
/* It is a PCI function that is there, whatever has become of its GPU for us. NULL: it is not. */
bool manager_slot_is_there(Manager *m, const char *slot);
int manager_check_gpu(const Gpu *gpu, VgpudError *reterr); /* it can be asked for instances */
/* Why the instance of a record is not in the model, which no job makes: "GPU 0000:03:00.0, which has not
 * answered yet". */
VgpudErrorCode manager_explain_record(Manager *m, const Record *record, char **ret);
bool manager_queue_is_full(const Gpu *gpu); /* of what somebody asked for; our own undoing does not count */

/* place.c: the GPU and the type for a request that names no GPU, and whether the configuration lets one that is
 * named have the type */
int place_resolve(Manager *m, const CreateRequest *request, Gpu **ret_gpu, const VgpuType **ret_type,
                  VgpudError *reterr);
int place_check_type(Manager *m, const Gpu *gpu, const VgpuType *type, VgpudError *reterr);
/* None can be made of the types that the configuration keeps from the GPU, and why. */
void place_apply_rules(const Gpu *gpu, GpuSnapshot *snapshot);

/* gpu.c */
Gpu *gpu_new(Manager *m, const GpuFacts *facts);
Gpu *gpu_free(Gpu *gpu);
void gpu_start(Gpu *gpu); /* after it has been announced */
/* It is the device of which clients were told once and for all what it is: another one may have been put in its
 * place between two looks. */
bool gpu_is_device(const Gpu *gpu, const GpuFacts *facts);
void gpu_update_facts(Gpu *gpu, const GpuFacts *facts);
void gpu_withdraw(Gpu *gpu); /* the device has gone: ends jobs and instances */
void gpu_cancel_waiting(Gpu *gpu, VgpudErrorCode code, const char *message);
/* Gives UUIDs to instances that have none of the kernel, and takes a ref; nobody else has seen the snapshot
 * yet. */
void gpu_apply_snapshot(Gpu *gpu, GpuSnapshot *snapshot);
void gpu_set_state(Gpu *gpu, GpuState state, const char *reason);
/* Somebody wants it to be looked at: what could not be removed before is tried again without a pause. */
void gpu_undo_again(Gpu *gpu);
void gpu_scan_failed(Gpu *gpu, const VgpudError *error);
/* It takes longer than anybody should wait who has asked for something else, and what follows of an instance
 * that was made or removed is clear without it. */
bool gpu_scan_can_wait(const Gpu *gpu);
bool gpu_is_busy(Gpu *gpu); /* its lane runs something that is not known to be stuck */

/* job.c */
Job *job_new(Manager *m, JobKind kind, Gpu *gpu, uid_t requester, uint64_t timeout_usec);
Job *job_free(Job *job);
void job_end(Job *job, JobState state); /* frees it */
int job_drop(Job *job, JobState state, VgpudErrorCode code,
             const char *message); /* ends it if it still waits, else -EBUSY */
void job_abandon(Job *job,
                 const char *message); /* the daemon stops: answer whoever waits, leave it to its thread */
bool job_makes(const Job *job, const char *uuid);

/* inventory.c */
int inventory_start(Manager *m, Inventory **ret);
void inventory_request(Inventory *inventory); /* look for GPUs again soon */
Inventory *inventory_free(Inventory *inventory);
bool inventory_is_busy(const Inventory *inventory); /* it looks for GPUs at this moment */
/* The path below /sys of the PCI function of exactly this name ("0000:41:00.0"), borrowed, and its NUMA node
 * (-1: not known; ret_node may be NULL). NULL: there is none, or no inventory. */
const char *inventory_find_pci(const Inventory *inventory, const char *name, int *ret_node);
void inventory_stop(Inventory *inventory); /* no more events; its lane is released */
