/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A folder for the files of an input. It is in memory if the host has /dev/shm, because libFuzzer uses it
 * 200 000 times. */

#include <fcntl.h>
#include <stdlib.h>

#include "base/macros.h"

static char fuzz_folder_path[64];

static void fuzz_folder_remove(void)
{
        (void)rmdir(fuzz_folder_path);
}

/* Returns the path of the folder. The first call creates the folder; the end of the process removes it if it
 * is empty. */
static inline const char *fuzz_folder(void)
{
        if (fuzz_folder_path[0])
                return fuzz_folder_path;

        (void)g_strlcpy(fuzz_folder_path, access("/dev/shm", W_OK) == 0 ? "/dev/shm/" : "/tmp/",
                        sizeof fuzz_folder_path);
        (void)g_strlcat(fuzz_folder_path, "vgpud-fuzz-XXXXXX", sizeof fuzz_folder_path);
        assert_se(mkdtemp(fuzz_folder_path));
        (void)atexit(fuzz_folder_remove);

        return fuzz_folder_path;
}

/* Write a file below the directory. */
static inline void fuzz_write_file(int dirfd, const char *name, const char *text)
{
        _cleanup_close_ int fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

        assert_se(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
}
