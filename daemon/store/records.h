/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Facts about instances that the kernel does not keep: origin, owner and name. One key file per instance in
 * RUNTIME_DIRECTORY/instance/UUID; mediated devices do not survive a reboot, so neither do the records.
 *
 * A job that waits has its records in memory only (records_add()): nothing is left of the job after a crash.
 * The lane writes a record to disk right before its first write to the kernel (records_begin(), made = false),
 * and the main thread writes the record again after the job (records_commit(), made = true). A daemon that is
 * killed between these two writes leaves a record from which the next daemon finishes or rolls back the work.
 * Where the kernel has no UUIDs, the reserved slot is written to UUID.slot before the first write to the VF.
 *
 * A record alone does not prove that a device of its UUID is ours: another program may have created the device,
 * before the job began or after the daemon ended. Only the inode of the device proves it (Identity): sysfs
 * reuses no inode while the host runs. vgpud-write, which survives a SIGKILL of the daemon, appends the inode
 * to the record right after its write(2) has created the device. So an interrupted create leaves one of two
 * records:
 *
 * - With an inode: the device with this inode is ours. It is kept, or removed if it may be incomplete.
 *
 * - Without an inode: no write of the job succeeded, so a device of this UUID is another program's, and is kept
 * as foreign. This is wrong in one case: if vgpud-write was killed too, between its write and its next system
 * calls, vgpud's own device becomes foreign.
 *
 * A record that is read at start-up is in doubt in two cases: it has no slot, so the device of its UUID may be
 * another one by now; or its create was interrupted and it has no inode yet, which vgpud-write of the killed
 * daemon may still append. The lane of the GPU waits for vgpud-write, reads the record again, and compares the
 * inode of the device with the record (records_fits()). This ends the doubt.
 *
 * Two inodes can be on disk for a slot: that of the reservation, and that of vgpud-write. If the slot exists
 * before the create, as a VF does, both are the same, and the inode of vgpud-write proves only that a write
 * succeeded. For back ends whose VgpuDriver.has_witness is false, vgpud-write appends no inode: the reservation
 * alone is the proof. */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/macros.h"
#include "base/shared-fd.h"
#include "base/uuid.h"
#include "daemon/store/record.h"

typedef struct Records Records;

/* Opens or creates RUNTIME/instance and reads the records. Logs and removes a file that is no record: its
 * instance then counts as foreign, which is the safe side. Logs and keeps a file that cannot be read now, for
 * example because too many files are open: the next start reads it again. */
int records_open(int runtime_fd, Records **ret);
Records *records_free(Records *r);

const Record *records_get(Records *r, const char *uuid);
const Record *records_find_name(Records *r, const char *name);

/* Make a table slot -> Record of a GPU; both are borrowed. One pass over the records serves all slots of a
 * scan. */
GHashTable *records_index_slots(Records *r, const char *gpu);

/* Write the reserved slot, `restore` and the identity of its device (0: not known) to UUID.slot, while the
 * instance is being created. Any thread: the function changes only that file. records_note_slot(), or
 * records_open() after a crash, then updates the record and forgets an older record of the slot: a slot has one
 * owner. `dirfd`: of records_directory(). */
int records_reserve(int dirfd, const char *uuid, const char *slot, const char *restore, uint64_t identity);
/* The folder of the records. The caller owns the reference. */
SharedFd *records_directory(Records *r);
void records_note_slot(Records *r, const char *uuid, const char *slot, const char *restore);
/* Set Record.identity; the next commit writes it. */
void records_note_identity(Records *r, const char *uuid, uint64_t identity);
/* Set Record.proven, and Record.identity unless known: the create was interrupted, and `identity` is the proof
 * of vgpud-write. 0: no proof, and no change. */
void records_note_proof(Records *r, const char *uuid, uint64_t identity);

/* Keep a copy of the record in memory: the job waits. */
void records_add(Records *r, const Record *record);
/* Write the record durably: the job is about to change the kernel. Any thread: the function changes only this
 * file. `dirfd`: of records_directory(). */
int records_begin(int dirfd, const Record *record);
/* Open a begun record for VgpuWitness.fd. Any thread. */
int records_open_witness(int dirfd, const char *uuid);
/* Read the proof of vgpud-write from the file: it may have been appended after records_open(). 0: there is no
 * proof. Any thread. */
uint64_t records_read_proof(int dirfd, const char *uuid);
/* records_begin() and records_add(). */
int records_put(Records *r, const Record *record);

/* True if a record in doubt describes the device that has its UUID. `identity`: of the record; `now`: of the
 * device (vgpu_io_identify()). Any thread. */
bool records_fits(uint64_t identity, uint64_t now);
/* Put the record of an instance without a slot in doubt, because its device was removed, and another device may
 * have its UUID by now. Does nothing if the record is not made or has no identity. */
void records_doubt(Records *r, const char *uuid);
/* Clear Record.in_doubt: the record describes the device, or there is no device. */
void records_end_doubt(Records *r, const char *uuid);
/* Mark the record as made; -ENOENT: no record. On a full file system, this works as long as the file of the
 * record has space in its last block. */
int records_commit(Records *r, const char *uuid);
/* Mark the record as made, and its instance as one that must be removed. */
int records_commit_undo(Records *r, const char *uuid);
/* Set Record.removing and write the record. Does nothing without a record or a slot, or if the flag has
 * this value already. */
void records_mark_removing(Records *r, const char *uuid, bool removing);
/* Set Record.definition and write the record. On failure the value is in memory only. */
int records_note_definition(Records *r, const char *uuid, const char *checksum);
/* Put the record of an interrupted create in doubt, and set Record.undo: the rollback failed, and the scan
 * after it failed too, so the next scan decides whether the instance exists and is vgpud's. */
void records_leave_open(Records *r, const char *uuid);
void records_forget(Records *r, const char *uuid);

/* UUIDs, borrowed, of the records of a GPU; NULL: of all GPUs. */
GPtrArray *records_of_gpu(Records *r, const char *gpu);
