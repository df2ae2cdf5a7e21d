/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Notes about a GPU that outlive the daemon, for facts that the kernel does not show: files RUNTIME/TOPIC/GPU
 * of one line each. Any thread. Failures are only logged, and the caller goes on. */

#include <stdbool.h>

typedef struct GpuNotes {
        int runtime_fd;  /* borrowed */
        const char *gpu; /* borrowed; its sysfs name */
} GpuNotes;

/* NULL for the notes is valid: nothing is written or read. The note is on disk when gpu_note_write() returns.
 */
void gpu_note_write(const GpuNotes *n, const char *topic, const char *text);
/* NULL: there is none. The caller owns the text. */
char *gpu_note_read(const GpuNotes *n, const char *topic);
void gpu_note_remove(const GpuNotes *n, const char *topic);
