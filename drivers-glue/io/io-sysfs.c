/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Opens paths below /sys and /dev component by component, relative to directories of the caller. No component
 * may be a link, so no such path leads out of its directory. */

#include "drivers-glue/io/io-sysfs.h"

#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/fs-util.h"
#include "base/log.h"
#include "drivers-glue/io/child.h"
#include "drivers-glue/io/holders.h"
#include "drivers-glue/io/writer.h"

/* The shortest and the longest pause before a call of VgpuIo.slow. */
#define SLOW_MIN_MSEC 250
#define SLOW_MAX_MSEC 60000

/* A path with more folders than this bypasses the trail. LimitNOFILE= of vgpud.service is calculated from this
 * limit. */
#define TRAIL_MAX 14

/* The smallest page size of Linux, in bytes. */
#define SYSFS_PAGE_MIN 4096U

/* A cache of the open folders of the last path that used the trail: most paths of a scan share a prefix with
 * the previous path. Stale folders are handled in sysfs_open(). */
typedef struct Trail {
        char *path; /* owned; path of the last folder; NULL if none */
        struct {
                int fd;     /* owned */
                size_t end; /* end of its name in `path` */
        } folders[TRAIL_MAX];
        size_t n;
} Trail;

/* One trail for paths below /sys/devices, one for all others, such as links in /sys/bus: most work reads both
 * in turn. */
enum { TRAIL_DEVICES, TRAIL_LINKS, _TRAIL_N };

typedef struct SysfsIo {
        VgpuIo io;
        Trail trails[_TRAIL_N];
        int sysfs_fd, dev_fd, proc_fd, keep_fd; /* borrowed */
        char *writer_path;                      /* owned */
        char *modules_path;                     /* owned */
        char *definitions_root;                 /* owned; NULL: / */
        char *definitions_unread;               /* owned; VgpuDefinitions.unread, as logged last; NULL: none */
        char *programs[_VGPU_PROGRAM_MAX];      /* owned; NULL: not installed */
        Writer *writer;                         /* owned; NULL until the first guarded write */
        char *dev_path;                         /* owned; path of dev_fd; NULL until needed */
} SysfsIo;

static const VgpuIoOps sysfs_ops;

static SysfsIo *sysfs_io(VgpuIo *io)
{
        g_assert(io->ops == &sysfs_ops);

        return (SysfsIo *)io;
}

/* Opens one component. The kernel reports ENOTDIR for a link instead of a directory; report ELOOP. */
static int sysfs_open_component(int dirfd, const char *name, int flags)
{
        struct stat st;
        int fd = openat(dirfd, name, flags | O_NOFOLLOW | O_CLOEXEC);

        if (fd >= 0)
                return fd;

        if (errno == ENOTDIR && fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) >= 0)
                return S_ISLNK(st.st_mode) ? -ELOOP : -ENOTDIR;

        return -errno;
}

/* Does not use openat2(2): seccomp filters cannot check its arguments, so RestrictSUIDSGID= of systemd refuses
 * it with ENOSYS. The path is valid: relative and without "..". */
static int sysfs_open_below(int dirfd, const char *path, int flags)
{
        _cleanup_close_ int at = -EBADF;
        char name[NAME_MAX + 1];
        const char *slash;

        while ((slash = strchr(path, '/'))) {
                size_t n = (size_t)(slash - path);

                if (n > NAME_MAX)
                        return -ENAMETOOLONG;

                memcpy(name, path, n);
                name[n] = 0;

                int next = sysfs_open_component(at >= 0 ? at : dirfd, name, O_PATH | O_DIRECTORY);
                if (next < 0)
                        return next;

                safe_close(at);
                at = next;
                path = slash + 1;
        }

        return sysfs_open_component(at >= 0 ? at : dirfd, path, flags | O_NOCTTY);
}

static void trail_cut(Trail *t, size_t n)
{
        g_assert(n <= TRAIL_MAX);

        while (t->n > n)
                safe_close(t->folders[--t->n].fd);
        if (t->n == 0)
                g_clear_pointer(&t->path, g_free);
}

/* The number of folders of the trail that are a prefix of the path. */
static size_t trail_common(const Trail *t, const char *path)
{
        size_t n = 0;

        while (n < t->n && strncmp(path, t->path, t->folders[n].end) == 0 && path[t->folders[n].end] == '/')
                n++;

        return n;
}

/* Extends the trail to the folder that the first `size` bytes of the path name. Returns the descriptor of the
 * folder, owned by the trail. */
static int trail_walk(Trail *t, int dirfd, const char *path, size_t size)
{
        char name[NAME_MAX + 1];
        size_t begin;

        g_assert(size > 0);
        trail_cut(t, trail_common(t, path));
        begin = t->n > 0 ? t->folders[t->n - 1].end + 1 : 0;
        g_free(t->path);
        t->path = g_strndup(path, size);

        while (begin < size) {
                const char *slash = strchr(t->path + begin, '/');
                size_t end = slash ? (size_t)(slash - t->path) : size, n = end - begin;
                int at = t->n > 0 ? t->folders[t->n - 1].fd : dirfd, fd;

                if (n > NAME_MAX)
                        return -ENAMETOOLONG;

                g_assert(t->n < TRAIL_MAX);
                memcpy(name, t->path + begin, n);
                name[n] = 0;

                fd = sysfs_open_component(at, name, O_PATH | O_DIRECTORY);
                if (fd < 0)
                        return fd;

                t->folders[t->n].fd = fd;
                t->folders[t->n++].end = end;
                begin = end + 1;
        }

        return t->folders[t->n - 1].fd;
}

/* True if the last folder of the trail still exists under its name. sysfs reuses no inode while the host runs,
 * and a lookup in a removed folder fails, so the folders above need no check. */
static bool trail_is_current(const Trail *t, int dirfd)
{
        size_t begin = t->n > 1 ? t->folders[t->n - 2].end + 1 : 0, n;
        int at = t->n > 1 ? t->folders[t->n - 2].fd : dirfd;
        char name[NAME_MAX + 1];
        struct stat cached, now;

        g_assert(t->n > 0);

        n = t->folders[t->n - 1].end - begin;
        g_assert(n <= NAME_MAX);
        memcpy(name, t->path + begin, n);
        name[n] = 0;

        return fstat(t->folders[t->n - 1].fd, &cached) >= 0 && cached.st_nlink > 0 &&
               fstatat(at, name, &now, AT_SYMLINK_NOFOLLOW) >= 0 && now.st_ino == cached.st_ino &&
               now.st_dev == cached.st_dev;
}

/* sysfs_open_below() for /sys; uses the trail. */
static int sysfs_open(VgpuIo *io, const char *path, int flags)
{
        SysfsIo *s = sysfs_io(io);
        Trail *trail = &s->trails[g_str_has_prefix(path, "devices/") ? TRAIL_DEVICES : TRAIL_LINKS];
        const char *slash = strrchr(path, '/');
        size_t depth = 0;
        bool known;
        int fd;

        for (const char *c = path; *c; c++)
                depth += *c == '/';
        if (depth == 0 || depth > TRAIL_MAX)
                return sysfs_open_below(s->sysfs_fd, path, flags);

        do {
                known = trail_common(trail, path) > 0;
                fd = trail_walk(trail, s->sysfs_fd, path, (size_t)(slash - path));
                if (fd >= 0)
                        fd = sysfs_open_component(fd, slash + 1, flags | O_NOCTTY);
                if (fd != -ENOENT || !known)
                        break;

                /* Many files are optional, so retry from the root only if a cached folder is stale. Other
                 * errors come from the attribute itself, and opening it twice could have effects. */
                if (trail_is_current(trail, s->sysfs_fd))
                        break;

                trail_cut(trail, 0);
        } while (true);

        return fd;
}

/* Reads the link that link_fd (O_PATH, or a negative errno) refers to, and closes link_fd. */
static int sysfs_read_link_fd(int link_fd, char **ret)
{
        _cleanup_close_ int fd = link_fd;
        char text[PATH_MAX];
        ssize_t n;

        if (fd < 0)
                return fd;

        n = readlinkat(fd, "", text, sizeof(text));
        if (n < 0)
                return errno == ENOENT ? -EINVAL : -errno; /* ENOENT: the descriptor is not a link */

        if ((size_t)n == sizeof(text))
                return -ENAMETOOLONG;

        *ret = g_strndup(text, (size_t)n);

        return 0;
}

/* A read(2) of an attribute returns at most one page (Linux fs/kernfs/file.c), so less than a page is the end.
 * A second read(2) to see the end would double the reads of a scan. */
static ssize_t sysfs_read_whole(int fd, char *text, size_t size)
{
        size_t n = 0;

        g_assert(size > SYSFS_PAGE_MIN);

        while (n < size) {
                ssize_t k = read(fd, text + n, size - n);

                if (k < 0 && errno == EINTR)
                        continue;
                if (k < 0)
                        return -errno;

                n += (size_t)k;
                if ((size_t)k < SYSFS_PAGE_MIN)
                        break;
        }

        return (ssize_t)n;
}

static int sysfs_read_text(int fd, char **ret)
{
        char text[VGPU_IO_ATTR_MAX + 1];
        ssize_t n = sysfs_read_whole(fd, text, sizeof(text));

        if (n < 0)
                return (int)n;
        if (n > VGPU_IO_ATTR_MAX)
                return -EFBIG;

        if (memchr(text, 0, (size_t)n))
                return -EINVAL; /* not a text attribute */

        if (n > 0 && text[n - 1] == '\n')
                n--;
        *ret = g_strndup(text, (size_t)n);

        return 0;
}

static int sysfs_read(VgpuIo *io, const char *path, char **ret)
{
        _cleanup_close_ int fd = sysfs_open(io, path, O_RDONLY);

        return fd < 0 ? fd : sysfs_read_text(fd, ret);
}

static int sysfs_log_write(const char *path, const char *value, bool guarded, int64_t begin_usec, int r)
{
        if (log_get_max_level() >= LOG_DEBUG) {
                g_autofree char *text = g_strescape(value, NULL);

                (void)log_debug_errno(r, "%s \"%s\" to /sys/%s: %s, %" PRId64 " us",
                                      guarded ? "Guarded write of" : "Write of", text, path,
                                      r < 0 ? g_strerror(-r) : "done", g_get_monotonic_time() - begin_usec);
        }

        return r;
}

static int sysfs_write(VgpuIo *io, const char *path, const char *value)
{
        int64_t begin_usec = g_get_monotonic_time();
        _cleanup_close_ int fd = sysfs_open(io, path, O_WRONLY);
        size_t size = strlen(value);
        int r = fd;

        if (fd >= 0) {
                ssize_t n = write(fd, value, size);

                r = n < 0 ? -errno : (size_t)n < size ? -EIO : 0;
        }

        return sysfs_log_write(path, value, false, begin_usec, r);
}

/* Opens the folder in which the write will create the device. -EBADF: no witness, or the folder cannot be
 * opened. */
static int sysfs_open_witness_folder(VgpuIo *io, const VgpuWitness *witness)
{
        g_autofree char *folder = NULL;
        int fd;

        if (!witness)
                return -EBADF;

        folder = g_path_get_dirname(witness->device);
        fd = sysfs_open(io, folder, O_PATH | O_DIRECTORY);
        if (fd < 0)
                (void)log_debug_errno(fd, "Failed to open /sys/%s, writing without proof: %m", folder);

        return fd < 0 ? -EBADF : fd;
}

/* Wait until fd is readable, and call VgpuIo.slow meanwhile. */
static void sysfs_await(VgpuIo *io, int fd, const char *path, const char *value)
{
        struct pollfd p = { .fd = fd, .events = POLLIN };
        int pause_msec = SLOW_MIN_MSEC, n;
        bool slow = false;

        while (io->slow) {
                n = poll(&p, 1, pause_msec);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n != 0)
                        break;

                slow = true;
                io->slow(io, path, value, io->slow_userdata);
                pause_msec = MIN(pause_msec * 2, SLOW_MAX_MSEC);
        }

        /* If poll(2) failed, the operation may still be in progress, so do not report its end. */
        if (slow && n > 0)
                io->slow(io, NULL, NULL, io->slow_userdata);
}

static int sysfs_write_guarded(VgpuIo *io, const char *path, const char *value, const VgpuWitness *witness)
{
        int64_t begin_usec = g_get_monotonic_time();
        SysfsIo *s = sysfs_io(io);
        _cleanup_close_ int fd = sysfs_open(io, path, O_WRONLY);
        _cleanup_close_ int folder_fd = -EBADF;
        int r = fd;

        if (fd >= 0 && !s->writer) {
                r = writer_new(s->writer_path, s->keep_fd, &s->writer);
                if (r < 0) {
                        /* The errno concerns vgpud-write, not the attribute, so the caller gets -EPROTO. */
                        (void)log_error_errno(r, "Failed to start %s: %m", s->writer_path);
                        r = -EPROTO;
                }
        }

        if (r >= 0) {
                folder_fd = sysfs_open_witness_folder(io, witness);
                r = writer_send(s->writer, fd, value, strlen(value),
                                folder_fd >= 0 ? &(WriterWitness){ .folder_fd = folder_fd,
                                                                   .name = strrchr(witness->device, '/') + 1,
                                                                   .record_fd = witness->fd }
                                               : NULL);
                if (r >= 0) {
                        sysfs_await(io, writer_fd(s->writer), path, value);
                        r = writer_receive(s->writer);
                }

                if (r == -EPROTO)
                        s->writer = writer_free(s->writer);
        }

        return sysfs_log_write(path, value, true, begin_usec, r);
}

static int sysfs_list(VgpuIo *io, const char *path, char ***ret)
{
        int fd = sysfs_open(io, path, O_RDONLY | O_DIRECTORY);

        return fd < 0 ? fd : fs_list_fd(fd, ret);
}

static int sysfs_read_link(VgpuIo *io, const char *path, char **ret)
{
        return sysfs_read_link_fd(sysfs_open(io, path, O_PATH), ret);
}

static int sysfs_identify(VgpuIo *io, const char *path, uint64_t *ret)
{
        _cleanup_close_ int fd = sysfs_open(io, path, O_PATH);
        struct stat st;

        if (fd < 0)
                return fd;

        if (fstat(fd, &st) < 0)
                return -errno;

        *ret = st.st_ino;

        return 0;
}

static int sysfs_open_group(VgpuIo *io, unsigned group)
{
        char path[sizeof("vfio/4294967295")];

        (void)snprintf(path, sizeof(path), "vfio/%u", group);

        return sysfs_open_below(sysfs_io(io)->dev_fd, path, O_RDONLY | O_NONBLOCK);
}

static int sysfs_node_exists(VgpuIo *io, const char *path)
{
        _cleanup_close_ int fd = sysfs_open_below(sysfs_io(io)->dev_fd, path, O_PATH);

        if (fd >= 0)
                return 1;

        return fd == -ENOENT || fd == -ENOTDIR ? 0 : fd;
}

/* Returns the path of the node if dev_fd is another folder than /dev, as in tests; NULL if dev_fd is /dev. In
 * /proc, an open node of the host is "/dev/…" even for a process with a private /dev. */
static char *sysfs_other_node(SysfsIo *s, const char *path, const char *end)
{
        if (!s->dev_path) {
                char link[64], target[PATH_MAX];

                (void)snprintf(link, sizeof(link), "self/fd/%d", s->dev_fd);
                ssize_t n = readlinkat(s->proc_fd, link, target, sizeof(target));
                s->dev_path = n > 0 && (size_t)n < sizeof(target) ? g_strndup(target, (size_t)n)
                                                                  : g_strdup("/dev");
        }

        return strcmp(s->dev_path, "/dev") == 0 ? NULL : g_strconcat(s->dev_path, "/", path, end, NULL);
}

static int sysfs_find_holder(VgpuIo *io, const char *path, int *ret_pid, char **ret_command)
{
        SysfsIo *s = sysfs_io(io);
        g_autofree char *name = g_strconcat("/dev/", path, NULL), *other = sysfs_other_node(s, path, "");

        return holders_find(s->proc_fd, name, other, ret_pid, ret_command);
}

static int sysfs_list_held(VgpuIo *io, const char *folder, GHashTable **ret)
{
        SysfsIo *s = sysfs_io(io);
        g_autofree char *name = g_strconcat("/dev/", folder, "/", NULL);
        g_autofree char *other = sysfs_other_node(s, folder, "/");

        return holders_list(s->proc_fd, name, other, ret);
}

/* Every scan reads the same definitions, so log an unreadable definition only once. */
static int sysfs_read_definitions(VgpuIo *io, VgpuDefinitions **ret)
{
        SysfsIo *s = sysfs_io(io);
        VgpuDefinitions *d = vgpu_definitions_read(s->definitions_root ? s->definitions_root : "/");

        if (d->unread && g_strcmp0(d->unread, s->definitions_unread) != 0)
                log_warning("Unreadable definition of another program: %s", d->unread);

        g_free(s->definitions_unread);
        s->definitions_unread = g_strdup(d->unread);
        *ret = d;

        return 0;
}

/* Reads the whole output, so that the child never blocks on the pipe, and drops the bytes above the limit. */
static int sysfs_read_output(int fd, char **ret)
{
        g_autoptr(GString) text = g_string_new(NULL);
        char buffer[4096];
        ssize_t n;

        while ((n = fs_read_loop(fd, buffer, sizeof(buffer))) > 0)
                g_string_append_len(text, buffer, MIN(n, VGPU_IO_OUTPUT_MAX - (gssize)text->len));
        if (n < 0)
                return (int)n;

        *ret = g_string_free(g_steal_pointer(&text), FALSE);

        return 0;
}

static int sysfs_wait_child(pid_t pid)
{
        int status;

        while (waitpid(pid, &status, 0) < 0)
                if (errno != EINTR)
                        return -errno;

        return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static int sysfs_run(VgpuIo *io, VgpuProgram program, const char *const *arguments, char **ret_output)
{
        /* The child gets no variable of the daemon. */
        char *const environment[] = { (char *)"PATH=/usr/sbin:/usr/bin:/sbin:/bin", (char *)"LANG=C", NULL };
        g_autoptr(GPtrArray) argv = g_ptr_array_new();
        int64_t begin_usec = g_get_monotonic_time();
        _cleanup_close_ int ours = -EBADF, theirs = -EBADF;
        g_autofree char *output = NULL, *line = NULL;
        SysfsIo *s = sysfs_io(io);
        const char *path = s->programs[program];
        int fds[2], r, q;
        pid_t pid;

        if (!path)
                return -ENOENT;

        g_ptr_array_add(argv, (char *)path);
        for (const char *const *a = arguments; *a; a++)
                g_ptr_array_add(argv, (char *)*a);
        g_ptr_array_add(argv, NULL);
        line = g_strjoinv(" ", (char **)argv->pdata);

        if (pipe2(fds, O_CLOEXEC) < 0)
                return -errno;

        ours = fds[0];
        theirs = fds[1];
        r = child_start(&(ChildArgs){ .program = path,
                                      .argv = (char **)argv->pdata,
                                      .environ = environment,
                                      .output_fd = theirs,
                                      .keep_error = true,
                                      .fds = { s->keep_fd },
                                      .n_fds = s->keep_fd >= 0 ? 1 : 0 },
                        &pid);
        theirs = safe_close(theirs);

        if (r < 0)
                return log_debug_errno(r, "Failed to run %s: %m", line);

        sysfs_await(io, ours, NULL, line);
        r = sysfs_read_output(ours, &output);
        q = sysfs_wait_child(pid);
        log_debug("Ran %s: exit status %d, %" PRId64 " us", line, q, g_get_monotonic_time() - begin_usec);

        if (r < 0 || q < 0)
                return r < 0 ? r : q;

        *ret_output = g_steal_pointer(&output);

        return q;
}

/* The lines are "alias PATTERN MODULE". */
static int sysfs_list_aliases(VgpuIo *io, const char *prefix, char ***ret)
{
        SysfsIo *s = sysfs_io(io);
        g_autofree char *path = g_build_filename(s->modules_path, "modules.alias", NULL), *text = NULL;
        g_autofree char *begin = g_strconcat("alias ", prefix, NULL);
        g_autoptr(GPtrArray) found = g_ptr_array_new_with_free_func(g_free);
        g_autoptr(GError) error = NULL;

        if (!g_file_get_contents(path, &text, NULL, &error))
                return g_error_matches(error, G_FILE_ERROR, G_FILE_ERROR_NOENT) ? -ENOENT : -EIO;

        for (const char *line = text; line && *line;) {
                const char *end = strchrnul(line, '\n');

                if (g_str_has_prefix(line, begin))
                        g_ptr_array_add(found, g_strndup(line + strlen("alias "),
                                                         (gsize)(end - line) - strlen("alias ")));

                line = *end ? end + 1 : NULL;
        }

        g_ptr_array_add(found, NULL);
        *ret = (char **)g_ptr_array_free(g_steal_pointer(&found), FALSE);

        return 0;
}

static void sysfs_pause(VgpuIo *io, uint64_t usec)
{
        g_usleep(usec);
}

static void sysfs_cut_trails(SysfsIo *s)
{
        for (size_t i = 0; i < _TRAIL_N; i++)
                trail_cut(&s->trails[i], 0);
}

static void sysfs_free(VgpuIo *io)
{
        SysfsIo *s = sysfs_io(io);

        for (size_t i = 0; i < G_N_ELEMENTS(s->programs); i++)
                g_free(s->programs[i]);
        sysfs_cut_trails(s);
        s->writer = writer_free(s->writer);
        g_free(s->writer_path);
        g_free(s->modules_path);
        g_free(s->definitions_root);
        g_free(s->definitions_unread);
        g_free(s->dev_path);
        g_free(s);
}

static const VgpuIoOps sysfs_ops = {
        .read = sysfs_read,
        .write = sysfs_write,
        .write_guarded = sysfs_write_guarded,
        .list = sysfs_list,
        .read_link = sysfs_read_link,
        .identify = sysfs_identify,
        .open_group = sysfs_open_group,
        .node_exists = sysfs_node_exists,
        .find_holder = sysfs_find_holder,
        .list_held = sysfs_list_held,
        .list_aliases = sysfs_list_aliases,
        .read_definitions = sysfs_read_definitions,
        .run = sysfs_run,
        .pause = sysfs_pause,
        .free = sysfs_free,
};

VgpuIo *vgpu_io_sysfs_new(const VgpuIoSysfsConfig *config)
{
        SysfsIo *s = g_new(SysfsIo, 1);

        g_assert(config->sysfs_fd >= 0 && config->dev_fd >= 0 && config->proc_fd >= 0);

        *s = (SysfsIo){
                .io.ops = &sysfs_ops,
                .sysfs_fd = config->sysfs_fd,
                .dev_fd = config->dev_fd,
                .proc_fd = config->proc_fd,
                .keep_fd = config->keep_fd,
                .writer_path = g_strdup(config->writer_path),
                .modules_path = g_strdup(config->modules_path),
                .definitions_root = g_strdup(config->definitions_root),
        };

        for (size_t i = 0; i < G_N_ELEMENTS(s->programs); i++)
                s->programs[i] = g_strdup(config->programs[i]);

        return &s->io;
}

void vgpu_io_sysfs_rest(VgpuIo *io)
{
        if (io->ops != &sysfs_ops)
                return;

        sysfs_cut_trails(sysfs_io(io));
        sysfs_io(io)->writer = writer_free(sysfs_io(io)->writer);
}
