/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The lines of monitor: text, or with --json one object per line with the changes, or with --full whole
 * objects. */

#include "cli/arguments.h"
#include "cli/host/host.h"

void say_present(const Arguments *a, const Host *h);
void say_absent(const Arguments *a);
void say_added(const Arguments *a, ObjectKind kind, const void *object);
void say_removed(const Arguments *a, ObjectKind kind, const void *object);
void say_job_ended(const Arguments *a, const JobInfo *j);

/* `keys`: the keys of the members that have new values. */
void say_changed(const Arguments *a, ObjectKind kind, const void *object, const GPtrArray *keys);

/* A type with another number of available instances. */
typedef struct TypeChange {
        unsigned row; /* index in GpuInfo.types */
        int64_t before;
} TypeChange;

void say_types_changed(const Arguments *a, const GpuInfo *g, const GArray *changes); /* TypeChange */

/* Virtual functions as the signal has them: texts of columns that were left out are NULL. */
void say_vfs_changed(const Arguments *a, const GpuInfo *g, const GPtrArray *vfs); /* VfInfo */

/* Print that a whole list of the GPU is new: "types", "vfs", "parents". */
void say_list_changed(const Arguments *a, const GpuInfo *g, const char *list);
