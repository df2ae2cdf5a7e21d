/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Jobs that create instances of one type on one GPU, all or none. */

#include "daemon/work/job.h"

/* The slot in which an instance is created; on record before the first write. */
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
        int records_fd;        /* borrowed; the folder of the records, for records_reserve() */
        GpuSnapshot *known;    /* ref; of the moment when the job was queued, if it is predictable; else NULL */

        /* Written by the lane, read after it has come back. */
        GPtrArray *made;         /* InstanceDesc; NULL if it failed */
        GPtrArray *reservations; /* JobReservation, in order; NULL: none */
} JobCreate;

extern const JobKindInfo job_kind_create;

/* Nothing happens before queue_submit(). `attributes`: VgpuAttribute, copied; NULL: none. `uuids` is stolen. */
Job *job_create_new(Gpu *gpu, uid_t requester, const char *type_id, GPtrArray *uuids);
void job_create_set_options(Job *job, const char *parent, const char *name, const GPtrArray *attributes);

/* Write a record for each instance, before the first write to the kernel: a daemon that is killed in between
 * must know that the instances are its own. */
int job_create_write_records(Job *job, VgpudError *reterr);

/* The id of the type that it creates, borrowed; NULL: it creates nothing. */
const char *job_created_type(const Job *job);
/* It creates the instance of this UUID. */
bool job_creates(const Job *job, const char *uuid);
