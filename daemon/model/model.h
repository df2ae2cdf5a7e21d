/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The root of the model: the tables of GPUs, instances and jobs, the announcements, and the wishes.
 *
 * A wish is work of a higher layer that a change of the model calls for: a discovery, a scan, a removal. The
 * model records wishes; manager.c carries them out once per iteration of the event loop, before other events.
 *
 * Main thread only. The model knows neither D-Bus nor udev. */

#include <systemd/sd-event.h>

#include "base/macros.h"
#include "base/shared-fd.h"
#include "base/uuid.h"
#include "daemon/store/config.h"
#include "daemon/forward.h"
#include "daemon/model/events.h"
#include "drivers-glue/facts.h"

typedef enum ModelWish {
        MODEL_WISH_DISCOVERY = 1 << 0, /* discover GPUs */
        MODEL_WISH_SCANS = 1 << 1,     /* scan the GPUs whose Gpu.wanted_scan is set */
        MODEL_WISH_UNDOS = 1 << 2,     /* remove the instances whose Instance.wants_undo is set */
        MODEL_WISH_START = 1 << 3,     /* check whether start-up is over */
        MODEL_WISH_CONVERGE = 1 << 4,  /* apply settings and start definitions: Model.to_converge */
} ModelWish;

/* Whether the wanted instances (want.h) exist and the GPUs have their kept settings (keep.h). */
typedef enum Readiness {
        READINESS_CONVERGING, /* missing since the start of vgpud, and the deadline has not passed */
        READINESS_DEGRADED,   /* instances or settings are missing */
        READINESS_READY,
        _READINESS_MAX,
        _READINESS_INVALID = -EINVAL,
} Readiness;

/* "converging", "degraded", "ready" */
const char *readiness_to_string(Readiness readiness);

struct Model {
        sd_event *event;          /* ref */
        const Config *config;     /* borrowed */
        SharedFd *runtime;        /* ref; the runtime directory; NULL before model_open() */
        Records *records;         /* owned */
        KnownTypes *known_types;  /* owned */
        Definitions *definitions; /* owned; written by model/defined.c */
        Settings *settings;       /* owned; written by model/keep.c */
        GHashTable *keeps;        /* owned: sysfs name in the Keep -> Keep, borrowed from its job; written by
                                     model/keep.c */
        GHashTable *wants;        /* owned: UUID in the Want -> Want; written by model/want.c */
        SharedFd *wants_folder;   /* ref; NULL before model_open() */
        uint64_t wants_log_usec;  /* CLOCK_MONOTONIC, first line of the minute; written by model/want.c */
        unsigned wants_logged;    /* lines in this minute; written by model/want.c */
        Readiness readiness;      /* written by converge/ with model_set_readiness() */
        Lanes *lanes;             /* borrowed from the manager; NULL before manager_open() */
        Inventory *inventory;     /* borrowed from the manager; NULL before discovery has started */
        GHashTable *gpus;         /* owned: sysfs name (owned) -> Gpu; written by discovery/arrivals.c */
        GHashTable *instances; /* borrowed from their GPUs: UUID in desc -> Instance; written by model/apply.c
                                */
        GHashTable *jobs;      /* owned: id -> Job; written by work/queue.c */
        Finished *finished;    /* borrowed from the manager; the last ended jobs; written by work/queue.c */
        uint32_t last_job_id;
        char boot_id[UUID_STRLEN + 1];
        bool discovered; /* the first discovery has ended */
        bool stopping;

        GHashTable *to_converge;        /* owned: sysfs names of GPUs; see model_wish_converge() */
        bool converge_all;              /* true: to_converge stands for all GPUs */
        unsigned wishes;                /* bits of ModelWish */
        sd_event_source *wishes_source; /* owned; one-shot, enabled while there are wishes */

        /* Applies facts that a job has read. Set by the manager, because the function lies above the jobs
         * (discovery/arrivals.c). */
        void (*take_facts)(Gpu *gpu, const GpuFacts *facts);

        const ModelEvents *watcher; /* of converge/, called before `events`; never NULL */
        void *watcher_userdata;
        const ModelEvents *events; /* of dbus/; never NULL */
        void *events_userdata;
};

#define MODEL_EMIT(m, event, ...)                                              \
        do {                                                                   \
                Model *_m = (m);                                               \
                if (_m->watcher->event)                                        \
                        _m->watcher->event(__VA_ARGS__, _m->watcher_userdata); \
                if (_m->events->event)                                         \
                        _m->events->event(__VA_ARGS__, _m->events_userdata);   \
        } while (0)

/* `carry_out` is called with `userdata` once in each iteration of the event loop in which there are wishes. */
int model_new(sd_event *event, const Config *config, sd_event_handler_t carry_out, void *userdata, Model **ret);
/* All GPUs must be gone. Jobs that are blocked in the kernel may remain. */
Model *model_free(Model *m);

/* Open the runtime directory, and read records, known types, definitions, kept settings and wants. */
int model_open(Model *m);

/* NULL: announce nothing to dbus/, or to converge/. */
void model_set_events(Model *m, const ModelEvents *events, void *userdata);
void model_set_watcher(Model *m, const ModelEvents *watcher, void *userdata);

/* ---- wishes ---- */

void model_wish(Model *m, ModelWish wish);
/* Wish that the wanted definitions and the kept settings of this GPU are checked; NULL: those of all GPUs.
 * Definitions that name no GPU are checked, too. */
void model_wish_converge(Model *m, const char *gpu);
/* Set and announce the readiness. */
void model_set_readiness(Model *m, Readiness readiness);
/* Return all wishes and clear them; the caller carries them out. */
unsigned model_take_wishes(Model *m);

/* ---- lookups ---- */

/* The tables are for reading only. */
GHashTable *model_gpus(Model *m);      /* sysfs name -> Gpu */
GHashTable *model_jobs(Model *m);      /* GUINT_TO_POINTER(id) -> Job */
GHashTable *model_instances(Model *m); /* UUID -> Instance, of all GPUs */

/* Find the object of exactly this name, UUID or number; NULL: there is none. */
Gpu *model_get_gpu(Model *m, const char *name);
Instance *model_get_instance(Model *m, const char *uuid);
Job *model_get_job(Model *m, uint32_t id);

const Config *model_config(Model *m);
