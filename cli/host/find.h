/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Sorts objects, and finds an object by its path, its number, or a word of the user. */

#include "cli/host/host.h"
#include "cli/output/errors.h"

/* Orders GPUs by address, instances by GPU and UUID, definitions by UUID, jobs by number. */
void host_sort(Host *h);

void *host_find_path(const Host *h, ObjectKind kind, const char *path);
InstanceInfo *host_find_instance(const Host *h, const char *uuid); /* uuid: in lower case */
JobInfo *host_find_job(const Host *h, uint32_t id);

/* Flags of a search: the kinds of objects that the word may name, and the shortest beginning of a UUID. */
typedef enum FindFlags {
        FIND_GPU = 1 << 0,
        FIND_INSTANCE = 1 << 1,
        FIND_DEFINITION = 1 << 2,
        FIND_NO_SHORT = 1 << 3, /* a beginning of a UUID needs 4 hexadecimal digits */
} FindFlags;

/* Finds the object that a word names. A whole name, a PCI address in any form or a UUID takes precedence over a
 * beginning of a UUID, and over a beginning or an end of the name of a GPU. An instance takes precedence over
 * its definition. If NULL is returned, the empty *ret_error is filled: Ambiguous, InvalidArgs or NoSuch…. */
void *host_find(const Host *h, const char *word, unsigned flags, ObjectKind *ret_kind, ErrorInfo *ret_error);

/* True if the word is a whole UUID or an object path, for which no list of objects is needed. */
bool word_is_whole(const char *word);

/* Paths. */
char *uuid_from_path(const char *path);          /* NULL: not an instance */
char *instance_path_from_uuid(const char *uuid); /* upper or lower case */
char *gpu_name_from_path(const char *path);      /* "": not a GPU */
char *gpu_path_from_name(const char *name);
uint32_t job_id_from_path(const char *path); /* 0: not a job */
