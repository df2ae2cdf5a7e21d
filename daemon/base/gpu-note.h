/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What is to be known of a GPU after the daemon has ended, killed perhaps, and the kernel cannot tell: files
 * RUNTIME/TOPIC/GPU of one line each. Any thread. What goes wrong is logged: whoever leaves a note goes on
 * without it. */

#include <stdbool.h>

typedef struct GpuNotes {
        int runtime_fd;  /* borrowed */
        const char *gpu; /* borrowed; its sysfs name */
} GpuNotes;

/* With NULL for the notes nobody keeps any: nothing is written, and nothing is there. It is on disk when
 * gpu_note_write() returns. */
void gpu_note_write(const GpuNotes *n, const char *topic, const char *text);
/* NULL: there is none. Owned by the caller. */
char *gpu_note_read(const GpuNotes *n, const char *topic);
void gpu_note_remove(const GpuNotes *n, const char *topic);
