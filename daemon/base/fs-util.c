/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "base/fs-util.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

ssize_t fs_read_loop(int fd, char *buffer, size_t size)
{
        size_t n = 0;

        g_assert(fd >= 0);

        while (n < size) {
                ssize_t k = read(fd, buffer + n, size - n);

                if (k < 0 && errno == EINTR)
                        continue;
                if (k < 0)
                        return -errno;
                if (k == 0)
                        break;

                n += (size_t)k;
        }

        return (ssize_t)n;
}

int fs_read_file_at(int dirfd, const char *name, size_t max_size, char **ret, size_t *ret_size)
{
        _cleanup_close_ int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

        return fd < 0 ? -errno : fs_read_file(fd, max_size, ret, ret_size);
}

int fs_read_file(int fd, size_t max_size, char **ret, size_t *ret_size)
{
        g_autofree char *data = NULL;
        struct stat st;
        ssize_t n;

        g_assert(fd >= 0);
        g_assert(max_size <= SIZE_MAX - 2);

        if (fstat(fd, &st) < 0)
                return -errno;

        if (!S_ISREG(st.st_mode))
                return S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;

        if ((uint64_t)st.st_size > max_size)
                return -EFBIG;

        /* Read one byte more than allowed, to notice a file that grows meanwhile. */
        data = g_malloc(max_size + 2);
        n = fs_read_loop(fd, data, max_size + 1);
        if (n < 0)
                return (int)n;

        if ((size_t)n > max_size)
                return -EFBIG;

        data[n] = 0;
        *ret = g_steal_pointer(&data);

        if (ret_size)
                *ret_size = (size_t)n;

        return 0;
}

static int fs_write_all(int fd, const char *data, size_t size)
{
        while (size > 0) {
                ssize_t k = write(fd, data, size);

                if (k < 0) {
                        if (errno == EINTR)
                                continue;

                        return -errno;
                }

                data += k;
                size -= (size_t)k;
        }

        return 0;
}

char *fs_temporary_name(const char *name)
{
        return g_strdup_printf(".%s.tmp", name);
}

int fs_write_temporary_at(int dirfd, const char *name, const char *data, size_t size, unsigned mode, bool sync)
{
        g_autofree char *tmp = fs_temporary_name(name);
        _cleanup_close_ int fd = -EBADF;
        int r;

        g_assert(!strchr(name, '/'));
        g_assert((mode & ~07777U) == 0);

        /* O_TRUNC: overwrite the temporary file that a killed process may have left. */
        fd = openat(dirfd, tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, (mode_t)mode);
        if (fd < 0)
                return -errno;

        r = fs_write_all(fd, data, size);
        if (r >= 0 && (fchmod(fd, (mode_t)mode) < 0 || (sync && fsync(fd) < 0)))
                r = -errno;
        if (r < 0)
                (void)unlinkat(dirfd, tmp, 0);

        return r;
}

int fs_replace_file_at(int dirfd, const char *name, const char *data, size_t size, unsigned mode)
{
        g_autofree char *tmp = fs_temporary_name(name);
        int r;

        r = fs_write_temporary_at(dirfd, name, data, size, mode, true);
        if (r < 0)
                return r;

        if (renameat(dirfd, tmp, dirfd, name) < 0) {
                r = -errno;
                (void)unlinkat(dirfd, tmp, 0);
                return r;
        }

        return fsync(dirfd) < 0 ? -errno : 0;
}

int fs_rename_new_at(int dirfd, const char *from, const char *to)
{
        g_assert(!strchr(from, '/') && !strchr(to, '/'));

        if (renameat2(dirfd, from, dirfd, to, RENAME_NOREPLACE) >= 0)
                return 0;
        if (errno != EINVAL)
                return -errno;

        /* Some file systems do not know the flag. A hard link does not replace a file either. */
        if (linkat(dirfd, from, dirfd, to, 0) < 0)
                return -errno;

        return unlinkat(dirfd, from, 0) < 0 ? -errno : 0;
}

int fs_open_directory_at(int dirfd, const char *name, unsigned mode)
{
        int fd;

        if (mkdirat(dirfd, name, (mode_t)mode) < 0 && errno != EEXIST)
                return -errno;

        fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

        return fd < 0 ? -errno : fd;
}

int fs_open_directory(const char *path, unsigned mode)
{
        int fd;

        if (mkdir(path, (mode_t)mode) < 0 && errno != EEXIST)
                return -errno;

        fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        return fd < 0 ? -errno : fd;
}

static int fs_compare_names(const void *a, const void *b)
{
        return strcmp(*(const char *const *)a, *(const char *const *)b);
}

int fs_list_at(int dirfd, const char *path, char ***ret)
{
        int fd = openat(dirfd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

        return fd < 0 ? -errno : fs_list_fd(fd, ret);
}

int fs_list_fd(int fd, char ***ret)
{
        g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
        DIR *d;

        g_assert(fd >= 0);

        d = fdopendir(fd);
        if (!d) {
                safe_close(fd);
                return -errno;
        }

        for (;;) {
                errno = 0;
                struct dirent *e = readdir(d);
                if (!e)
                        break;

                if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
                        g_ptr_array_add(names, g_strdup(e->d_name));
        }

        int r = -errno;
        closedir(d);

        if (r < 0)
                return r;

        g_ptr_array_sort(names, fs_compare_names);
        g_ptr_array_add(names, NULL);
        *ret = (char **)g_ptr_array_free(g_steal_pointer(&names), FALSE);

        return 0;
}

void fs_remove_temporary_files(int dirfd)
{
        g_auto(GStrv) names = NULL;

        g_assert(dirfd >= 0);

        if (fs_list_at(dirfd, ".", &names) < 0)
                return;

        for (char **n = names; *n; n++)
                if ((*n)[0] == '.' && g_str_has_suffix(*n, ".tmp"))
                        (void)unlinkat(dirfd, *n, 0);
}
