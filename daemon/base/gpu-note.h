/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Notes that outlive the daemon, for facts of a GPU that the kernel does not show. Each note is a file
 * RUNTIME/TOPIC/GPU of one line. Any thread may call the functions. A failed write or removal is logged and not
 * returned; a note that cannot be read counts as no note. */

#include <stdbool.h>

typedef struct GpuNotes {
        int runtime_fd;  /* borrowed */
        const char *gpu; /* borrowed; its sysfs name */
} GpuNotes;

/* If `n` is NULL, there are no notes, and the functions do nothing. The note is on disk when gpu_note_write()
 * returns. */
void gpu_note_write(const GpuNotes *n, const char *topic, const char *text);
/* The text of the note, owned by the caller; NULL: no note. */
char *gpu_note_read(const GpuNotes *n, const char *topic);
void gpu_note_remove(const GpuNotes *n, const char *topic);

/* Remove the temporary files that a killed daemon has left among the notes of all GPUs. */
void gpu_notes_remove_temporary_files(int runtime_fd);
