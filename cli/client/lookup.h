/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Asking the daemon for objects, and finding the object that a word names. Functions that return int return 0,
 * or the exit status after printing an error. */

#include "cli/client/client.h"
#include "cli/host/find.h"
#include "cli/host/hand-over.h"
#include "cli/host/host.h"

/* One call each; the answer replaces the objects of its kind in the host. */
int lookup_gpus(Client *c, Host *h);
int lookup_instances(Client *c, Host *h, const char *gpu); /* path of the GPU; NULL: all */
int lookup_jobs(Client *c, Host *h, bool ended);
int lookup_types(Client *c, Host *h); /* all GPUs */
int lookup_gpu_types(Client *c, Host *h, const char *gpu);
int lookup_gpu_vfs(Client *c, GpuInfo *g);

/* One object with all properties. An object that does not exist: NoSuch…. */
int lookup_object(Client *c, Host *h, ObjectKind kind, const char *path, const char *word, void **ret);
int lookup_job(Client *c, Host *h, uint32_t id, JobInfo **ret);
/* Asks the daemon for an instance by name, even if only a record of it exists. False on failure: `error`,
 * empty before, gets the answer of the daemon. */
bool lookup_instance_by_name(Client *c, const char *name, char **ret_path, ErrorInfo *error);
int lookup_hand_over(Client *c, const char *path, HandOver *ret);

/* The object that a word names, with the members that the List methods have. A whole UUID or an object path
 * needs no call: the object then has only its path and name, and may not exist. `flags`: FindFlags. */
int lookup_word(Client *c, Host *h, const char *word, unsigned flags, ObjectKind *ret_kind, void **ret);
int lookup_gpu(Client *c, Host *h, const char *word, GpuInfo **ret);

/* The same, and every GPU is listed in the host. */
int lookup_gpu_listed(Client *c, Host *h, const char *word, GpuInfo **ret);
