/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "daemon/autoprobe.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/fs-util.h"
#include "base/log.h"

#define FOLDER "autoprobe"

void autoprobe_mark(int runtime_fd, const char *gpu)
{
        _cleanup_close_ int fd = fs_open_directory_at(runtime_fd, FOLDER, 0700);
        int r = fd < 0 ? fd : fs_replace_file_at(fd, gpu, "1\n", 2, 0600);

        if (r < 0)
                LOG_FIELDS(LOG_WARNING, (.gpu = gpu, .error = r),
                           "Cannot note that drivers are probed for virtual functions of GPU %s, going on: %m",
                           gpu);
}

void autoprobe_unmark(int runtime_fd, const char *gpu)
{
        _cleanup_close_ int fd = openat(runtime_fd, FOLDER, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        if (fd >= 0 && unlinkat(fd, gpu, 0) < 0 && errno != ENOENT)
                LOG_FIELDS(LOG_WARNING, (.gpu = gpu, .error = -errno), "Cannot remove a note about GPU %s: %m",
                           gpu);
}

bool autoprobe_is_marked(int runtime_fd, const char *gpu)
{
        _cleanup_close_ int fd = openat(runtime_fd, FOLDER, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        return fd >= 0 && faccessat(fd, gpu, F_OK, AT_SYMLINK_NOFOLLOW) >= 0;
}
