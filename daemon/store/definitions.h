/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The definitions of this host. One JSON file per definition, STATE/definitions/UUID.json (definition-json.h),
 * in a StoreFolder, whose header says what happens to damaged files. A change writes a temporary file,
 * fsyncs it, renames it, and fsyncs the folder. Main thread only. model/defined.c alone changes
 * definitions, because each change must be announced.
 *
 * The UUID of a file that cannot be read stays taken: the file of a new definition never replaces another file
 * (RENAME_NOREPLACE). */

#include "daemon/store/definition.h"

/* Limits of definitions: of the host, and of one user other than root. */
#define DEFINITIONS_MAX         16384U
#define DEFINITIONS_PER_UID_MAX 1024U

/* Opens or creates STATE/definitions and reads all files. Never fails: definitions_errors() lists the
 * files that cannot be read. */
Definitions *definitions_new(const char *state_directory);
Definitions *definitions_free(Definitions *d);

const Definition *definitions_get(Definitions *d, const char *uuid); /* NULL: none */
/* NULL: none. If several files that people wrote have the name, the first by UUID. */
const Definition *definitions_find_name(Definitions *d, const char *name);
guint definitions_count(Definitions *d);
guint definitions_count_of(Definitions *d, uid_t owner);

/* The definitions after the UUID `after` (NULL: all), borrowed (const Definition), in the order of their UUIDs.
 */
GPtrArray *definitions_list(Definitions *d, const char *after);

/* char *, one clause each, for each file that was set aside, cannot be read, has the name of another definition
 * or is beyond DEFINITIONS_MAX, and for a folder that cannot be opened or was replaced. */
const GPtrArray *definitions_errors(Definitions *d);

/* Write a new definition, or replace the one of the same UUID. Memory keeps a copy. On failure memory and disk
 * are as before. Once the file has been renamed the change counts, even if the fsync of the folder fails
 * (logged). Errors: those of definition_check(); FAILED with the errno (also -EEXIST: a file of the UUID exists
 * that vgpud could not read, or that appeared after the start; -ELOOP: the folder is a symbolic link). */
int definitions_put(Definitions *d, const Definition *definition, VgpudError *reterr);
/* Write new definitions (Definition), all or none. A SIGKILL in between may leave some of them. Errors: as
 * definitions_put(); also -EEXIST for a definition that exists.
 */
int definitions_put_many(Definitions *d, const GPtrArray *definitions, VgpudError *reterr);
/* Remove the file, fsync the folder, forget the definition. Errors: FAILED with the errno; then the definition
 * stays. */
int definitions_remove(Definitions *d, const char *uuid, VgpudError *reterr);
