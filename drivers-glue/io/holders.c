/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "drivers-glue/io/holders.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/fs-util.h"
#include "base/parse-util.h"

#define HOLDER_COMM_MAX 4096

/* A search of the open files of all processes. Without `found`, the names are two paths of one node, and the
 * search ends at the first process that has the node open. With `found`, the names are two paths of a folder,
 * and the search collects all open nodes in the folder. */
typedef struct NodeSearch {
        int proc_fd;
        const char *names[2]; /* the second may be NULL */
        GHashTable *found;    /* NULL: search for a node */
} NodeSearch;

/* Compares the target of a descriptor with the names. True if the target ends the search. */
static bool holders_match(const NodeSearch *search, const char *target)
{
        for (size_t i = 0; i < G_N_ELEMENTS(search->names) && search->names[i]; i++) {
                if (!search->found && strcmp(target, search->names[i]) == 0)
                        return true;
                if (search->found && g_str_has_prefix(target, search->names[i]))
                        g_hash_table_add(search->found, g_strdup(target + strlen(search->names[i])));
        }

        return false;
}

/* 1 if the search ended in this process, 0 if not, -ESRCH if the process has ended. */
static int holders_search_process(const NodeSearch *search, const char *pid)
{
        char path[64], target[PATH_MAX];
        DIR *dir;
        int fd, r = 0;

        (void)snprintf(path, sizeof(path), "%s/fd", pid);

        fd = openat(search->proc_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return errno == ENOENT ? -ESRCH : -errno;

        dir = fdopendir(fd);
        if (!dir) {
                r = -errno;
                safe_close(fd);
                return r;
        }

        for (;;) {
                errno = 0;
                struct dirent *e = readdir(dir);
                if (!e) {
                        r = -errno;
                        break;
                }

                if (e->d_name[0] == '.')
                        continue;

                ssize_t n = readlinkat(fd, e->d_name, target, sizeof(target) - 1);
                if (n < 0) {
                        if (errno == ENOENT)
                                continue; /* closed meanwhile */

                        r = -errno;
                        break;
                }

                target[n] = 0;
                if (holders_match(search, target)) {
                        r = 1;
                        break;
                }
        }

        closedir(dir);

        return r == -ENOENT ? -ESRCH : r;
}

/* 1: the search ended in process *ret_pid; 0: all processes were checked; -EACCES: the search did not end, and
 * some processes could not be checked. */
static int holders_search(const NodeSearch *search, int *ret_pid)
{
        g_auto(GStrv) pids = NULL;
        bool denied = false;
        int r = fs_list_at(search->proc_fd, ".", &pids);

        if (r < 0)
                return r;

        for (char **p = pids; *p; p++) {
                uint32_t pid;

                if (parse_u32(*p, 10, &pid) < 0 || pid > INT_MAX)
                        continue;

                r = holders_search_process(search, *p);
                if (r > 0) {
                        *ret_pid = (int)pid;
                        return 1;
                }

                denied |= r < 0 && r != -ESRCH;
        }

        return denied ? -EACCES : 0;
}

int holders_find(int proc_fd, const char *name, const char *other, int *ret_pid, char **ret_command)
{
        g_autofree char *path = NULL, *command = NULL;
        int r = holders_search(&(NodeSearch){ .proc_fd = proc_fd, .names = { name, other } }, ret_pid);

        g_assert(name[0] == '/');

        if (r <= 0)
                return r;

        path = g_strdup_printf("%d/comm", *ret_pid);
        if (fs_read_file_at(proc_fd, path, HOLDER_COMM_MAX, &command, NULL) < 0)
                command = g_strdup("?");
        *ret_command = g_utf8_make_valid(g_strchomp(command), -1);

        return 1;
}

int holders_list(int proc_fd, const char *folder, const char *other, GHashTable **ret)
{
        g_autoptr(GHashTable) found = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        int pid, r;

        g_assert(folder[0] == '/' && g_str_has_suffix(folder, "/"));

        r = holders_search(&(NodeSearch){ .proc_fd = proc_fd, .names = { folder, other }, .found = found },
                           &pid);
        if (r < 0 && r != -EACCES)
                return r;

        *ret = g_steal_pointer(&found);

        return r;
}
