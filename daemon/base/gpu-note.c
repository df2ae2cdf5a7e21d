/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "base/gpu-note.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/fs-util.h"
#include "base/log.h"

#define NOTE_SIZE_MAX 256

void gpu_note_write(const GpuNotes *n, const char *topic, const char *text)
{
        g_assert(!strchr(topic, '/'));
        g_assert(!strchr(text, '\n') && strlen(text) < NOTE_SIZE_MAX);

        if (!n)
                return;

        _cleanup_close_ int fd = fs_open_directory_at(n->runtime_fd, topic, 0700);
        g_autofree char *line = g_strconcat(text, "\n", NULL);

        int r = fd < 0 ? fd : fs_replace_file_at(fd, n->gpu, line, strlen(line), 0600);

        if (r < 0)
                LOG_FIELDS(LOG_WARNING, (.gpu = n->gpu, .error = r),
                           "Failed to write note %s of GPU %s, continuing without the note: %m", topic, n->gpu);
}

static int gpu_note_open_topic(const GpuNotes *n, const char *topic)
{
        return n ? openat(n->runtime_fd, topic, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
}

char *gpu_note_read(const GpuNotes *n, const char *topic)
{
        _cleanup_close_ int fd = gpu_note_open_topic(n, topic);
        char *text = NULL;

        if (fd < 0 || fs_read_file_at(fd, n->gpu, NOTE_SIZE_MAX, &text, NULL) < 0)
                return NULL;

        return g_strchomp(text);
}

void gpu_note_remove(const GpuNotes *n, const char *topic)
{
        _cleanup_close_ int fd = gpu_note_open_topic(n, topic);

        if (fd >= 0 && unlinkat(fd, n->gpu, 0) < 0 && errno != ENOENT)
                LOG_FIELDS(LOG_WARNING, (.gpu = n->gpu, .error = -errno),
                           "Failed to remove note %s of GPU %s, ignoring: %m", topic, n->gpu);
}

void gpu_notes_remove_temporary_files(int runtime_fd)
{
        g_auto(GStrv) topics = NULL;

        if (fs_list_at(runtime_fd, ".", &topics) < 0)
                return;

        for (char **t = topics; *t; t++) {
                _cleanup_close_ int fd =
                                openat(runtime_fd, *t, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

                if (fd >= 0)
                        fs_remove_temporary_files(fd);
        }
}
