/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the kernel cannot know about instances: that vgpud made them, for whom, under which name. One key file
 * per instance in RUNTIME_DIRECTORY/instance/UUID: a mediated device does not survive a reboot, so neither does
 * its record.
 *
 * A record is written before the instance is made (made = false) and again when it stands, so that a daemon
 * that was killed in between leaves something its successor can finish or undo. Where the kernel has no UUIDs,
 * which virtual function was chosen is written to a file beside it, UUID.slot, before that function is touched.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/macros.h"
#include "base/uuid.h"

typedef struct Record {
        char uuid[UUID_STRLEN + 1];
        char *gpu; /* sysfs name */
        char *type_id;
        char *name; /* NULL: none */
        uid_t owner;
        uint64_t created_usec; /* CLOCK_REALTIME */
        bool made;             /* it stands; otherwise it is, or was, being made */
        bool undo;  /* what stands of it must go. Not made: because more than the bare device was asked for;
                       made: because a daemon was killed over it */
        char *slot; /* where the kernel has no UUIDs: what tells it on its GPU; NULL: none, or not chosen yet */
        uint64_t identity; /* where there is a slot: InstanceDesc.identity of what was made; 0: not known */
        char *restore;     /* what its removal has to put back, the back end's own text; NULL: nothing */
        char first[UUID_STRLEN + 1]; /* of several that were asked for together the first, whose record is
                                        committed first; else empty */
        bool removing;               /* where there is a slot: its removal was asked for, and may have begun */
        bool removal_interrupted;    /* removing, and read from a file at start-up. Not in the file */
        bool interrupted; /* not made, and read from a file at start-up: nobody is at work on it. Not in the
                             file */
        uint64_t written_usec; /* CLOCK_MONOTONIC of the last change; 0: by an earlier daemon. Not in the file
                                */
} Record;

typedef struct Records Records;

/* Opens (and makes) RUNTIME/instance and reads what is there; a file that cannot be understood is warned about
 * and removed: without it the instance counts as foreign, which is the safe side. */
int records_open(int runtime_fd, Records **ret);
Records *records_free(Records *r);

const Record *records_get(Records *r, const char *uuid);
const Record *records_find_name(Records *r, const char *name);

/* The record of what is in this slot of a GPU; NULL: none. */
const Record *records_find_slot(Records *r, const char *gpu, const char *slot);

/* Put slot and what is to be restored beside the record of an instance that is being made, on disk. Of all
 * functions here the only one that any thread may call: it changes nothing but that file. records_note_slot()
 * says it to the record afterwards, and records_open() when a crash came between; both forget the record that
 * had this slot of the GPU before, so that a slot has one owner. The descriptor is that of the folder. */
int records_reserve(int dirfd, const char *uuid, const char *slot, const char *restore);
int records_dirfd(Records *r);
void records_note_slot(Records *r, const char *uuid, const char *slot, const char *restore);
/* Comes into the file with the commit. */
void records_note_identity(Records *r, const char *uuid, uint64_t identity);

/* Write a copy of it. */
int records_put(Records *r, const Record *record);
/* Mark it as made; -ENOENT when there is none. */
int records_commit(Records *r, const char *uuid);
/* The same of what is left of it, which must go. */
int records_commit_undo(Records *r, const char *uuid);
/* Nothing is written for what has no slot, or is so already. */
void records_mark_removing(Records *r, const char *uuid, bool removing);
/* Of what was made something may be left, and nobody could look: the next scan settles it. */
void records_leave_open(Records *r, const char *uuid);
void records_forget(Records *r, const char *uuid);

/* The UUIDs of all records of a GPU, or of all GPUs (NULL); borrowed strings. */
GPtrArray *records_of_gpu(Records *r, const char *gpu);
