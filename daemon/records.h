/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the kernel cannot know about instances: that vgpud made them, for whom, under which name. One key file
 * per instance in RUNTIME_DIRECTORY/instance/UUID: a mediated device does not survive a reboot, so neither does
 * its record.
 *
 * A record is written before the instance is made (made = false) and again when it stands, so that a daemon
 * that was killed in between leaves something its successor can finish or undo. */

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
        bool undo; /* not made: what stands of it must go, because more than the bare device was asked for */
        char first[UUID_STRLEN + 1]; /* of several that were asked for together the first, whose record is
                                        committed first; else empty */
        bool interrupted; /* not made, and read from a file at start-up: nobody is at work on it. Not in the
                             file */
} Record;

typedef struct Records Records;

/* Opens (and makes) RUNTIME/instance and reads what is there; a file that cannot be understood is warned about
 * and removed: without it the instance counts as foreign, which is the safe side. */
int records_open(int runtime_fd, Records **ret);
Records *records_free(Records *r);

const Record *records_get(Records *r, const char *uuid);
const Record *records_find_name(Records *r, const char *name);

/* Write a copy of it. */
int records_put(Records *r, const Record *record);
/* Mark it as made; -ENOENT when there is none. */
int records_commit(Records *r, const char *uuid);
void records_forget(Records *r, const char *uuid);

/* The UUIDs of all records of a GPU, or of all GPUs (NULL); borrowed strings. */
GPtrArray *records_of_gpu(Records *r, const char *gpu);
