/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Asking the daemon for objects, and finding the object that a word names. Functions that return int return 0,
 * or the exit status after printing an error. */

#include "cli/client/client.h"
#include "cli/host/find.h"
#include "cli/host/hand-over.h"
#include "cli/host/host.h"

/* How much is read of each instance; the other fields are empty. For definitions, see lookup_definitions(). */
typedef enum LookupDetail {
        LOOKUP_NAMES, /* path, UUID, name and GPU */
        LOOKUP_TABLE, /* what print_instances() shows */
        LOOKUP_ALL,
} LookupDetail;

/* Appends the option "columns" to an open a{sv}; `names` ends with NULL. Returns 0 or a negative errno. */
int lookup_append_columns(sd_bus_message *m, const char *const *names);

/* Each of these functions makes one call. Its answer replaces the objects of one kind in the host. But
 * lookup_more_instances() adds objects, and the functions for types and VFs replace only the types or VFs of
 * the GPUs. */
int lookup_gpus(Client *c, Host *h);
int lookup_instances(Client *c, Host *h, const char *gpu, LookupDetail detail); /* gpu: a path; NULL: all */
/* Adds the instances of one GPU; none if the GPU does not exist. The host must not have them yet. */
int lookup_more_instances(Client *c, Host *h, const char *gpu, LookupDetail detail);
int lookup_jobs(Client *c, Host *h, bool ended);
int lookup_types(Client *c, Host *h); /* all GPUs */
int lookup_gpu_types(Client *c, Host *h, const char *gpu);
int lookup_gpu_vfs(Client *c, GpuInfo *g);

/* Reads one object with all properties. If the object does not exist, lookup_object() fails with NoSuch…, and
 * lookup_object_if_present() sets *ret to NULL. */
int lookup_object(Client *c, Host *h, ObjectKind kind, const char *path, const char *word, void **ret);
int lookup_object_if_present(Client *c, Host *h, ObjectKind kind, const char *path, const char *word,
                             void **ret);
int lookup_fail_absent(Client *c, ObjectKind kind, const char *word); /* prints NoSuch… */
int lookup_job(Client *c, Host *h, uint32_t id, JobInfo **ret);

/* Asks the daemon for the instance that has this whole name or UUID. The daemon also knows instances on record,
 * and why such an instance is not available. Returns true after setting *ret_path. Otherwise fills the empty
 * *ret_error, except if the call could not be built. */
bool lookup_named_instance(Client *c, const char *name, char **ret_path, ErrorInfo *ret_error);

/* Asks the daemon for an instance that is not in the list, also by the name of its definition. `said`: the
 * error of the search in the list; the daemon is asked only after NoSuchInstance and InvalidArgs (a short
 * word). Returns true if *ret_path is the path of the instance. Otherwise fills the empty *ret_error with the
 * error of the daemon, or with `said` if the daemon was not asked or its error says less. */
bool lookup_missing_instance(Client *c, const char *word, const ErrorInfo *said, char **ret_path,
                             ErrorInfo *ret_error);
int lookup_hand_over(Client *c, const char *path, HandOver *ret);

/* Finds the object that a word names, with its path, UUID and names. A whole UUID, an object path or a whole
 * PCI address needs no call: the object then has only its path and the word, and may not exist. `flags`:
 * FindFlags. */
int lookup_word(Client *c, Host *h, const char *word, unsigned flags, ObjectKind *ret_kind, void **ret);
int lookup_gpu(Client *c, Host *h, const char *word, GpuInfo **ret);

/* Finds the name of a GPU, which may be missing: definitions and kept settings may name a missing GPU. If no
 * GPU fits, the word counts as a name, except if the word is only a part of an address. */
int lookup_gpu_name(Client *c, Host *h, const char *word, char **ret);

/* Does the same as lookup_gpu(), but always calls ListGpus, so that the host has every GPU. */
int lookup_gpu_listed(Client *c, Host *h, const char *word, GpuInfo **ret);
