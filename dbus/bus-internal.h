/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the files of dbus/ share. */

#include <systemd/sd-bus.h>

#include "base/error.h"
#include "daemon/model/gpu.h"
#include "daemon/model/instance.h"
#include "daemon/work/job.h"
#include "daemon/model/model.h"
#include "dbus/bus-authz.h"
#include "dbus/bus.h"

struct Bus {
        sd_bus *bus;            /* ref */
        Model *model;           /* borrowed */
        BusAuthz *authz;        /* owned */
        bool attached;          /* to the event loop, by us */
        GPtrArray *slots;       /* owned: what is registered on the connection */
        GHashTable *gpus;       /* Gpu -> changes not announced yet */
        GHashTable *instances;  /* Instance -> changes not announced yet */
        GHashTable *jobs;       /* Job, changed and not announced yet */
        sd_event_source *flush; /* owned; announces them once per turn of the loop */
        GHashTable *waiting;    /* id of a job -> the call that waits for it, ref */
};

extern const sd_bus_vtable bus_manager_vtable[];
extern const sd_bus_vtable bus_gpu_vtable[];
extern const sd_bus_vtable bus_instance_vtable[];
extern const sd_bus_vtable bus_job_vtable[];

/* Besides the bits of GpuChange: on which virtual function which instance is. */
#define BUS_GPU_CHANGED_OCCUPANCY (1U << 31)
/* All that can change of a job. */
#define BUS_JOB_CHANGED 1U
/* Whether the instance is one of a virtual function of its GPU, or on one. */
bool bus_gpu_instance_has_vf(const Instance *instance);

/* The properties that these changes concern: a newly allocated NULL-terminated list of borrowed names. */
char **bus_gpu_properties(unsigned changes);
char **bus_instance_properties(unsigned changes);
char **bus_job_properties(unsigned changes);

/* The Bus whose method is being called. */
Bus *bus_of_call(sd_bus_message *call);

/* Announce all changes of properties now. */
void bus_flush_changes(Bus *b);

/* The end of a handler that has queued a job: the answer, now or (`wait`) when the job has ended. */
int bus_answer_with_job(Bus *b, sd_bus_message *call, Job *job, bool wait);

/* Instance.Destroy and Manager.Destroy, after the instance has been found; reads the options. */
int bus_instance_destroy(Bus *b, sd_bus_message *call, Instance *instance, sd_bus_error *error);

/* The option timeout_usec of everything that makes jobs. */
#define BUS_TIMEOUT_OPTION(variable)                                                \
        {                                                                           \
                "timeout_usec", "t", &(variable), USEC_PER_SEC, 3600 * USEC_PER_SEC \
        }
