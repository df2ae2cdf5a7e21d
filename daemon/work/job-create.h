/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Jobs that create instances of one type on one GPU, all or none. */

#include "daemon/work/job.h"

/* The reserved slot of an instance. The reservation is on disk before the first write to the VF. */
typedef struct JobReservation {
        const char *uuid; /* borrowed from the job */
        char *slot;
        char *restore; /* NULL: nothing */
} JobReservation;

typedef struct JobCreate {
        Job job; /* first */

        char *type_id;
        char *parent;          /* NULL: any */
        char *name;            /* NULL: none */
        GPtrArray *attributes; /* VgpuAttribute, in order */
        uid_t owner;           /* of the instances */
        char *definition;      /* checksum of the definition that the job starts; NULL: none */
        bool kept;             /* the request wrote definitions, which go again if the job fails */
        SharedFd *records;     /* ref; the folder of the records */
        bool undo;             /* true if a crash may leave an incomplete result, to be removed */
        GpuSnapshot *known;    /* ref; the GPU's snapshot when the job was queued; NULL: not predictable */

        /* Written by the lane; read by the main thread afterwards. */
        GPtrArray *made;         /* InstanceDesc; NULL: the job failed */
        GArray *identities;      /* uint64_t, one per instance: the identity of the device in `made`; after a
                                  * failed rollback, the proof in the record. NULL: neither */
        GPtrArray *reservations; /* JobReservation, in order; NULL: none */
} JobCreate;

extern const JobKindInfo job_kind_create;

/* Pass the job to queue_submit(), or free it. Steals `uuids`. */
Job *job_create_new(Gpu *gpu, uid_t requester, const char *type_id, GPtrArray *uuids);
void job_create_set_options(Job *job, const char *parent, const char *name, const GPtrArray *attributes);
/* The job starts a definition, whose owner becomes the owner of the instance. `kept`: see JobCreate. */
void job_create_set_definition(Job *job, const Definition *definition, bool kept);

/* Reserve UUIDs and name while the job waits: a record per instance, in memory. The lane writes each record
 * right before the first write to the kernel, so that the instance remains vgpud's own after a crash. The
 * records of a job that keeps definitions are written at once, before the definitions: after a crash, they show
 * which definitions must go. Errors: FAILED, only for a job that keeps definitions. */
int job_create_add_records(Job *job, VgpudError *reterr);
/* Forget the records of a job that is not submitted. */
void job_create_forget_records(Job *job);

/* Id, borrowed, of the created type; NULL: not a create job. */
const char *job_created_type(const Job *job);
/* True if the job creates the instance of this UUID. */
bool job_creates(const Job *job, const char *uuid);
