/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The order of objects, and finding one: by path, by number, by the words of a user. */

#include "cli/arguments.h"
#include "cli/host/host.h"

/* Orders GPUs by address, instances by GPU and UUID, jobs by number. */
void host_sort(Host *h);

void *host_find_path(const Host *h, ObjectKind kind, const char *path);
void host_remove_path(Host *h, ObjectKind kind, const char *path);
JobInfo *host_find_job(const Host *h, uint32_t id);

/* Find what a user named. On failure they return NULL, print the error and set *status; without `a` they are
 * silent. */
GpuInfo *host_find_gpu(const Host *h, const Arguments *a, const char *what, int *status);
InstanceInfo *host_find_instance(const Host *h, const char *what); /* exactly one, else NULL, says nothing */
void *host_find_object(const Host *h, const Arguments *a, const char *what, ObjectKind *ret_kind, int *status);

/* The last part of a path: the UUID of an instance, the number of a job. */
char *uuid_from_path(const char *path);      /* NULL: not an instance */
uint32_t job_id_from_path(const char *path); /* 0: not a job */
