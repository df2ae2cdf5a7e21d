/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Problems of a scan: parts of a GPU that cannot be read, and instances that no VM can use. The scan lists a
 * problem in the snapshot and goes on, so that one bad VF, instance or file does not hide the others. */

#include <stdbool.h>

#include "base/hint.h"
#include "base/macros.h"
#include "drivers-glue/snapshot.h"

typedef struct VgpuProblem {
        char *text;     /* owned; one clause */
        VgpudHint hint; /* owned; advice on the text */
        char *unread;   /* owned; VF, parent, slot or UUID whose instances the scan could not see; NULL: none */
} VgpuProblem;

VgpuProblem *vgpu_problem_free(VgpuProblem *p);

void gpu_snapshot_add_problem(GpuSnapshot *s, VgpudHintId id, const char *hint, const char *format, ...)
                _printf_(4, 5);
/* Add the problem that reading `path` below /sys failed with `r`, a negative errno. `unread` may be NULL. */
void gpu_snapshot_add_unread(GpuSnapshot *s, const char *unread, const char *path, int r);
/* Copy all problems of another snapshot. */
void gpu_snapshot_copy_problems(GpuSnapshot *s, const GpuSnapshot *from);

/* True if the scan could not see the instances of this VF, parent or slot, or the instance with this UUID. */
bool gpu_snapshot_is_unread(const GpuSnapshot *s, const char *name);
/* True if the scan could not see some instance. */
bool gpu_snapshot_is_partial(const GpuSnapshot *s);

/* A text that names the first few problems and counts the rest, and the hint of the first. NULL: no problem. */
char *gpu_snapshot_explain_problems(const GpuSnapshot *s, VgpudHint *ret_hint);
