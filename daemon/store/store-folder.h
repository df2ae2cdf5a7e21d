/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A folder of the state directory with one JSON file per object, STATE/FOLDER/NAME.json. Main thread only.
 *
 * People edit these files, and disks damage them:
 *
 *   A file NAME.json that is not valid, or no regular file, is renamed to NAME.json.damaged
 * (NAME.json.damaged.1, …). No start reads or removes the renamed file, and its name is free. A file that
 * cannot be read or renamed now, and a file of a newer format, stay where they are. A file whose name begins
 * with a dot, and any other name without ".json" at its end, is ignored; a temporary file of vgpud is removed.
 *   If the folder is removed or replaced, the next change opens or creates the folder again. Memory keeps the
 * objects; the files of the new folder are read at the next start.
 *
 * After each start, store_folder_errors() lists the renamed and the unreadable files, until an administrator
 * removes or repairs the files. */

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/macros.h"

#define STORE_FILE_SUFFIX ".json"

typedef struct StoreFolder StoreFolder;

/* The objects of a folder. */
typedef struct StoreFolderInfo {
        const char *name;    /* the folder: "definitions" */
        const char *objects; /* plural in messages: "definitions" */
        const char *object;  /* singular in messages: "definition" */
        size_t max_size;     /* bytes of a file */
        /* True if vgpud gives an object this name. */
        bool (*name_is_valid)(const char *name);
        const char *valid_names; /* in messages: "a UUID in lower case" */
        /* Read one file, which may be damaged. Errors: INVALID: the file is set aside; others: the file is
         * reported and stays. */
        int (*load)(const char *name, const char *text, size_t size, void *userdata, VgpudError *reterr);
} StoreFolderInfo;

/* Opens or creates the folder; store_folder_load() then reads all files. Never fails: store_folder_errors()
 * lists the faults. `info` must stay valid. */
StoreFolder *store_folder_new(const StoreFolderInfo *info, const char *state_directory);
void store_folder_load(StoreFolder *f, void *userdata);
StoreFolder *store_folder_free(StoreFolder *f);

/* The faults of folder and files: char *, one clause each. */
const GPtrArray *store_folder_errors(const StoreFolder *f);
/* Add a fault, and log the fault. */
void store_folder_report(StoreFolder *f, const char *format, ...) _printf_(2, 3) _cold_;

/* ---- changes ---- */

/* Call this before each change. Errors: FAILED with the errno (-ELOOP: the folder is a symbolic link). */
int store_folder_follow(StoreFolder *f, VgpudError *reterr);
/* Write the temporary file of the object, with an fsync if `sync` is true. store_folder_publish() gives the
 * file its final name; -EEXIST: `replace` is false, and a file has the name. Results are negative errnos. */
int store_folder_write(StoreFolder *f, const char *name, const char *text, size_t size, bool sync);
int store_folder_publish(StoreFolder *f, const char *name, bool replace);
/* Remove the temporary file, or the file of the object. store_folder_remove() also succeeds without such a
 * file, because an administrator may have removed the file. */
void store_folder_remove_written(StoreFolder *f, const char *name);
int store_folder_remove(StoreFolder *f, const char *name);
/* Call fsync() for the folder, or syncfs() for its file system. The change counts even if store_folder_sync()
 * fails, which is logged: the file system shows the change, until a power failure. */
void store_folder_sync(StoreFolder *f);
int store_folder_sync_all(StoreFolder *f);
/* Set FAILED for the negative errno r of a change ("written", "removed") of this object. */
int store_folder_fail(StoreFolder *f, const char *name, const char *change, int r, VgpudError *reterr);
