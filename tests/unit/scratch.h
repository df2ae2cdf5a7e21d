/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A directory for one test. The end of the test removes it with its contents. */

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/macros.h"

typedef struct Scratch {
        char path[64];
        int fd;
} Scratch;

static inline Scratch scratch_new_below(const char *folder)
{
        Scratch s;

        (void)g_snprintf(s.path, sizeof s.path, "%s/vgpud-test-XXXXXX", folder);
        g_assert(mkdtemp(s.path));
        s.fd = open(s.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        g_assert(s.fd >= 0);
        return s;
}

static inline Scratch scratch_new(void)
{
        return scratch_new_below("/tmp");
}

/* In memory, for tests with thousands of files. */
static inline Scratch scratch_new_in_memory(void)
{
        return scratch_new_below(access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
}

static inline void scratch_empty(int fd)
{
        DIR *d = fdopendir(fd);
        struct dirent *e;

        g_assert(d);
        while ((e = readdir(d))) {
                if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
                        continue;
                if (unlinkat(dirfd(d), e->d_name, 0) == 0)
                        continue;
                int below = openat(dirfd(d), e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
                if (below >= 0)
                        scratch_empty(below);
                (void)unlinkat(dirfd(d), e->d_name, AT_REMOVEDIR);
        }
        closedir(d);
}

static inline void scratch_free(Scratch *s)
{
        scratch_empty(s->fd);
        (void)rmdir(s->path);
}
#define _cleanup_scratch_ _cleanup_(scratch_free)

/* Writes a file below the directory. The directories in the name must exist. */
static inline void scratch_bytes(const Scratch *s, const char *name, const char *bytes, size_t size)
{
        _cleanup_close_ int fd = openat(s->fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

        g_assert(fd >= 0 && write(fd, bytes, size) == (ssize_t)size);
}

static inline void scratch_file(const Scratch *s, const char *name, const char *text)
{
        scratch_bytes(s, name, text, strlen(text));
}

static inline void scratch_directory(const Scratch *s, const char *name)
{
        g_assert(mkdirat(s->fd, name, 0755) == 0);
}

static inline void scratch_link(const Scratch *s, const char *name, const char *target)
{
        g_assert(symlinkat(target, s->fd, name) == 0);
}

static inline void scratch_fifo(const Scratch *s, const char *name)
{
        g_assert(mkfifoat(s->fd, name, 0600) == 0);
}
