/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "daemon/store/autoprobe.h"

#include <glib.h>

#include "base/gpu-note.h"

#define TOPIC "autoprobe"

void autoprobe_mark(int runtime_fd, const char *gpu)
{
        gpu_note_write(&(GpuNotes){ runtime_fd, gpu }, TOPIC, "1");
}

void autoprobe_unmark(int runtime_fd, const char *gpu)
{
        gpu_note_remove(&(GpuNotes){ runtime_fd, gpu }, TOPIC);
}

bool autoprobe_is_marked(int runtime_fd, const char *gpu)
{
        g_autofree char *text = gpu_note_read(&(GpuNotes){ runtime_fd, gpu }, TOPIC);

        return text;
}
