/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* One record, and its key file; daemon/store/records.h explains both. */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/macros.h"
#include "base/uuid.h"
#include "drivers-glue/attribute.h"

typedef struct Record {
        char uuid[UUID_STRLEN + 1];
        char *gpu; /* sysfs name */
        char *type_id;
        char *name; /* NULL: none */
        uid_t owner;
        uint64_t created_usec; /* CLOCK_REALTIME */
        bool made;             /* the instance was created; false: creation is in progress or was interrupted */
        /* If set, the instance must be removed: at once if `made` is true. If `made` is false, only if the
         * create is interrupted, because the instance may be incomplete (it has attributes, or is one of
         * several). */
        bool undo;
        char *slot;        /* the slot, where the kernel has no UUIDs; NULL: none, or not reserved yet */
        uint64_t identity; /* vgpu_io_identify() of the device; 0: not known */
        char *restore;     /* state that destroy() restores, as the back end wrote it; NULL: none */
        char first[UUID_STRLEN + 1]; /* UUID of the first instance, if the job creates several; else empty */
        GPtrArray *attributes;       /* VgpuAttribute of the request, in order; NULL: none */
        char *definition;            /* definition_checksum() of the definition that was started; NULL: none */
        bool kept;     /* the create also wrote the definition, which must go if the create is not completed */
        bool removing; /* a removal was queued and may have begun; only with a slot */
        bool removal_interrupted; /* `made` and `removing`, read at start-up. Not in the file */
        /* `made` is false, and no job is creating the instance: the record was read at start-up, or
         * records_leave_open() was called. Not in the file. */
        bool interrupted;
        /* The device must be compared with the record, see records.h. Also set by records_leave_open(). Not in
         * the file. */
        bool in_doubt;
        /* Meaningful if the create was interrupted: a write of the job created the device, as the line Identity
         * proves. The flag itself is not in the file. */
        bool proven;
        /* CLOCK_MONOTONIC of records_add() or of the last commit; 0: read at start-up. Not in the file. */
        uint64_t written_usec;
} Record;

void record_free(gpointer record);
Record *record_copy(const Record *r);

/* The whole key file, newly allocated. Any thread. */
char *record_make_text(const Record *r, size_t *ret_size);
/* The keys that may change after the create began, newly allocated: appended to the file, they replace the
 * earlier values. */
char *record_make_update(const Record *r);

/* Read the record from its key file. Errors: -EBADMSG. */
int record_parse(GKeyFile *file, const char *uuid, Record **ret);

/* The line Identity, which vgpud-write may have appended; 0: none. Any thread. */
uint64_t record_parse_identity(GKeyFile *file);

/* The text of the slot file of a record, newly allocated. */
char *record_make_slot_text(const char *slot, const char *restore, uint64_t identity, size_t *ret_size);
/* -EBADMSG: no slot. `*identity` stays if the file has none. */
int record_parse_slot(GKeyFile *file, char **ret_slot, char **ret_restore, uint64_t *identity);
