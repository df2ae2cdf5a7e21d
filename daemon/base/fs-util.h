/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Files of the daemon: state and configuration. Kernel attributes go through drivers-glue/io/io.h. */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/macros.h"

/* Read a whole regular file below dirfd, at most max_size bytes; -EFBIG when it is larger. The text is
 * NUL-terminated; `ret_size` may be NULL. A symbolic link as last component is refused (-ELOOP). */
int fs_read_file_at(int dirfd, const char *name, size_t max_size, char **ret, size_t *ret_size);

/* fs_read_file_at() for an open file. */
int fs_read_file(int fd, size_t max_size, char **ret, size_t *ret_size);

/* Read until `size` bytes are there or the file ends. Returns how many bytes were read, or a negative errno. */
ssize_t fs_read_loop(int fd, char *buffer, size_t size);

/* Replace the file `name` in the directory dirfd atomically: temporary file in the same directory, fsync,
 * rename, fsync of the directory. */
int fs_replace_file_at(int dirfd, const char *name, const char *data, size_t size, unsigned mode);

/* The name of the temporary file of fs_replace_file_at(): ".NAME.tmp". */
char *fs_temporary_name(const char *name);
/* Write the temporary file of `name`, with an fsync if `sync` is true. On failure the file is removed. */
int fs_write_temporary_at(int dirfd, const char *name, const char *data, size_t size, unsigned mode, bool sync);
/* Rename within the directory dirfd. -EEXIST if `to` exists. */
int fs_rename_new_at(int dirfd, const char *from, const char *to);
/* Remove the temporary files that fs_replace_file_at() of a killed process has left in the directory. */
void fs_remove_temporary_files(int dirfd);

/* Open a directory, creating it with this mode if it is missing. Its parents must exist. */
int fs_open_directory(const char *path, unsigned mode);
int fs_open_directory_at(int dirfd, const char *name, unsigned mode);

/* List the names in a directory, without "." and "..", sorted. */
int fs_list_at(int dirfd, const char *path, char ***ret);
/* fs_list_at() for a directory that is open for reading. Closes fd, also on failure. */
int fs_list_fd(int fd, char ***ret);
