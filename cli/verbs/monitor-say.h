/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Print the events of `vgpuctl monitor`, one line for each event. The line is text, or with --json an object. A
 * change shows only the members that have changed, or with --full the whole GPU, instance or job. */

#include "cli/arguments.h"
#include "cli/host/host.h"

void say_present(const Arguments *a, const Host *h);
void say_absent(const Arguments *a);
void say_readiness(const Arguments *a, const char *readiness);
void say_added(const Arguments *a, ObjectKind kind, const void *object);
void say_removed(const Arguments *a, ObjectKind kind, const void *object);
void say_job_ended(const Arguments *a, const JobInfo *j);

/* `keys`: the keys of the members that have new values. */
void say_changed(const Arguments *a, ObjectKind kind, const void *object, const GPtrArray *keys);

/* A type whose number of available instances has changed. */
typedef struct TypeChange {
        unsigned row; /* index in GpuInfo.types */
        int64_t before;
} TypeChange;

void say_types_changed(const Arguments *a, const GpuInfo *g, const GArray *changes); /* TypeChange */

/* Report that virtual functions of the GPU have changed. `vfs` has the rows of the signal VfsChanged. If the
 * signal leaves out a column, the member of each VfInfo for this column is NULL. */
void say_vfs_changed(const Arguments *a, const GpuInfo *g, const GPtrArray *vfs); /* VfInfo */

/* Print that a whole list of the GPU is new: "types", "vfs", "parents". */
void say_list_changed(const Arguments *a, const GpuInfo *g, const char *list);
