/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Fault points. This library, preloaded into vgpud and vgpud-write, wraps every call that changes a file below
 * one of the folders in $FAULT_POINTS_ROOTS, and every start of a program. It writes each call to the trace.
 * The test (fault_points.py) selects one call, at which the library kills a process or lets the call fail.
 *
 * The test selects a call by its name and the occurrence of this name. The name does not depend on the order of
 * threads: "PROGRAM CALL FOLDER/PATH", with "UUID" for each UUID. */

#define _GNU_SOURCE 1
/* The wrappers need the plain names. */
#undef _FORTIFY_SOURCE
#undef _FILE_OFFSET_BITS

#include <ctype.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define DAEMON      "vgpud"
#define ROOTS_MAX   8
#define UUID_LENGTH 36
#define NAME_SIZE   1024

typedef enum Action {
        ACTION_NONE,
        ACTION_KILL_DAEMON, /* also when a helper program makes the call */
        ACTION_KILL_CALLER,
        ACTION_FAIL,
} Action;

/* The file $FAULT_POINTS, shared by all processes. fault_points.py has the same layout. */
typedef struct Control {
        uint32_t tracing;
        uint32_t daemon; /* pid */
        uint32_t action;
        uint32_t after;      /* act after the call; else before */
        uint32_t error;      /* of ACTION_FAIL */
        uint32_t occurrence; /* from 1 on */
        uint32_t matched;    /* calls with this name so far */
        uint32_t fired;
        char name[NAME_SIZE];
} Control;

typedef struct Root {
        char *name, *path;
        size_t length;
} Root;

static Control *control;
static const char *trace_path;
static Root roots[ROOTS_MAX];
static size_t n_roots;

static bool fault_points_is_daemon(void)
{
        return strcmp(program_invocation_short_name, DAEMON) == 0;
}

__attribute__((constructor)) static void fault_points_begin(void)
{
        const char *path = getenv("FAULT_POINTS"), *folders = getenv("FAULT_POINTS_ROOTS");
        char *copy, *rest;
        void *map;
        int fd;

        trace_path = getenv("FAULT_POINTS_TRACE");
        if (!path || !folders || !trace_path)
                return;

        /* The variable has the form NAME=PATH:NAME=PATH... */
        copy = strdup(folders);
        for (char *word = strtok_r(copy, ":", &rest); word && n_roots < ROOTS_MAX;
             word = strtok_r(NULL, ":", &rest)) {
                char *equal = strchr(word, '=');

                if (!equal)
                        abort();

                *equal = 0;
                roots[n_roots++] = (Root){ .name = word, .path = equal + 1, .length = strlen(equal + 1) };
        }

        fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC);
        if (fd < 0)
                abort();

        map = mmap(NULL, sizeof(Control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        (void)syscall(SYS_close, fd);
        if (map == MAP_FAILED)
                abort();

        control = map;
        if (fault_points_is_daemon())
                control->daemon = (uint32_t)getpid();
}

/* ---- names of calls ---- */

static bool is_uuid(const char *text)
{
        for (int i = 0; i < UUID_LENGTH; i++) {
                bool dash = i == 8 || i == 13 || i == 18 || i == 23;

                if (dash ? text[i] != '-' : !isxdigit((unsigned char)text[i]))
                        return false;
        }

        return true;
}

/* Append " NAME/REST" for a path below a root. False: the path is elsewhere. */
static bool append_path(char *name, size_t size, const char *path)
{
        size_t n = strlen(name);

        for (size_t i = 0; i < n_roots; i++) {
                const Root *root = &roots[i];

                if (strncmp(path, root->path, root->length) != 0 ||
                    (path[root->length] != '/' && path[root->length] != 0))
                        continue;

                n += (size_t)snprintf(name + n, size - n, " %s", root->name);
                for (const char *c = path + root->length; *c && n + 5 < size;) {
                        if (is_uuid(c)) {
                                n += (size_t)snprintf(name + n, size - n, "UUID");
                                c += UUID_LENGTH;
                        } else
                                name[n++] = *c++;
                }

                name[n] = 0;
                return true;
        }

        return false;
}

static bool path_of_fd(int fd, char path[static PATH_MAX])
{
        char link[64];
        ssize_t n;

        (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        n = syscall(SYS_readlink, link, path, PATH_MAX - 1);
        if (n < 0)
                return false;

        path[n] = 0;
        return true;
}

static bool path_at(int dirfd, const char *name, char path[static PATH_MAX])
{
        size_t n = 0;

        if (name[0] != '/') {
                if (dirfd == AT_FDCWD ? !getcwd(path, PATH_MAX) : !path_of_fd(dirfd, path))
                        return false;

                n = strlen(path);
                path[n++] = '/';
        }

        return (size_t)snprintf(path + n, PATH_MAX - n, "%s", name) < PATH_MAX - n;
}

/* ---- a call ---- */

typedef struct Call {
        bool fires; /* the call that the test named */
        int error;  /* fail with this errno in place of the call; 0: do the call */
} Call;

static void trace(const char *name)
{
        char line[NAME_SIZE + 64];
        int n = snprintf(line, sizeof line, "%ld %s\n", syscall(SYS_gettid), name);
        int fd = (int)syscall(SYS_openat, AT_FDCWD, trace_path, O_WRONLY | O_APPEND | O_CLOEXEC);

        /* One write(2) with O_APPEND: lines of several threads do not mix. */
        if (fd < 0 || syscall(SYS_write, fd, line, (size_t)n) != n)
                abort();

        (void)syscall(SYS_close, fd);
}

static void kill_and_wait(void)
{
        uint32_t pid = control->action == ACTION_KILL_CALLER ? (uint32_t)getpid() : control->daemon;
        struct pollfd p = { .events = POLLIN };

        __atomic_store_n(&control->fired, 1, __ATOMIC_SEQ_CST);

        p.fd = pidfd_open((pid_t)pid, 0);
        (void)kill((pid_t)pid, SIGKILL);

        /* A helper program that makes the call goes on only after the daemon has ended. */
        if (p.fd >= 0) {
                (void)poll(&p, 1, -1);
                (void)syscall(SYS_close, p.fd);
        }
}

static Call begin_name(const char *name)
{
        Call call = { 0 };
        int error = errno;

        trace(name);

        if (control->action != ACTION_NONE && strcmp(name, control->name) == 0)
                call.fires = __atomic_add_fetch(&control->matched, 1, __ATOMIC_SEQ_CST) == control->occurrence;

        if (call.fires && control->action == ACTION_FAIL) {
                call.error = (int)control->error;
                __atomic_store_n(&control->fired, 1, __ATOMIC_SEQ_CST);
        } else if (call.fires && !control->after)
                kill_and_wait();

        errno = error;
        return call;
}

static Call begin(const char *what, const char *first, const char *second)
{
        char name[NAME_SIZE];

        (void)snprintf(name, sizeof name, "%s %s", program_invocation_short_name, what);
        if (!append_path(name, sizeof name, first))
                return (Call){ 0 };
        if (second && !append_path(name, sizeof name, second))
                abort();

        return begin_name(name);
}

static bool is_tracing(void)
{
        return control && __atomic_load_n(&control->tracing, __ATOMIC_SEQ_CST);
}

static Call begin_fd(const char *what, int fd)
{
        char path[PATH_MAX];
        int error = errno;
        Call call = is_tracing() && path_of_fd(fd, path) ? begin(what, path, NULL) : (Call){ 0 };

        errno = error;
        return call;
}

static Call begin_at(const char *what, int dirfd, const char *name)
{
        char path[PATH_MAX];
        int error = errno;
        Call call = is_tracing() && path_at(dirfd, name, path) ? begin(what, path, NULL) : (Call){ 0 };

        errno = error;
        return call;
}

static Call begin_two(const char *what, int dirfd, const char *name, int other_dirfd, const char *other)
{
        char path[PATH_MAX], other_path[PATH_MAX];
        int error = errno;
        Call call = { 0 };

        if (is_tracing() && path_at(dirfd, name, path) && path_at(other_dirfd, other, other_path))
                call = begin(what, path, other_path);

        errno = error;
        return call;
}

static void end(const Call *call)
{
        int error = errno;

        if (call->fires && control->after && control->action != ACTION_FAIL)
                kill_and_wait();

        errno = error;
}

/* Define a wrapper of the function `name`. `beginning` calls a begin function, which names the call. */
#define WRAP(type, name, parameters, arguments, beginning)                            \
        type name parameters;                                                         \
        type name parameters                                                          \
        {                                                                             \
                type(*real) parameters = (type(*) parameters)dlsym(RTLD_NEXT, #name); \
                Call call = beginning;                                                \
                type result;                                                          \
                                                                                      \
                if (call.error) {                                                     \
                        errno = call.error;                                           \
                        return -1;                                                    \
                }                                                                     \
                                                                                      \
                result = real arguments;                                              \
                end(&call);                                                           \
                return result;                                                        \
        }

WRAP(ssize_t, write, (int fd, const void *data, size_t size), (fd, data, size), begin_fd("write", fd))
WRAP(ssize_t, pwrite, (int fd, const void *data, size_t size, off_t offset), (fd, data, size, offset),
     begin_fd("write", fd))
WRAP(ssize_t, pwrite64, (int fd, const void *data, size_t size, off64_t offset), (fd, data, size, offset),
     begin_fd("write", fd))
WRAP(ssize_t, writev, (int fd, const struct iovec *vectors, int count), (fd, vectors, count),
     begin_fd("write", fd))
WRAP(int, ftruncate, (int fd, off_t size), (fd, size), begin_fd("ftruncate", fd))
WRAP(int, ftruncate64, (int fd, off64_t size), (fd, size), begin_fd("ftruncate", fd))
WRAP(int, fsync, (int fd), (fd), begin_fd("fsync", fd))
WRAP(int, fdatasync, (int fd), (fd), begin_fd("fsync", fd))
WRAP(int, syncfs, (int fd), (fd), begin_fd("syncfs", fd))
WRAP(int, fchmod, (int fd, mode_t mode), (fd, mode), begin_fd("chmod", fd))
WRAP(int, fchown, (int fd, uid_t uid, gid_t gid), (fd, uid, gid), begin_fd("chown", fd))
WRAP(int, fchmodat, (int dirfd, const char *path, mode_t mode, int flags), (dirfd, path, mode, flags),
     begin_at("chmod", dirfd, path))
WRAP(int, fchownat, (int dirfd, const char *path, uid_t uid, gid_t gid, int flags),
     (dirfd, path, uid, gid, flags), begin_at("chown", dirfd, path))
WRAP(int, mkdir, (const char *path, mode_t mode), (path, mode), begin_at("mkdir", AT_FDCWD, path))
WRAP(int, mkdirat, (int dirfd, const char *path, mode_t mode), (dirfd, path, mode),
     begin_at("mkdir", dirfd, path))
WRAP(int, rmdir, (const char *path), (path), begin_at("rmdir", AT_FDCWD, path))
WRAP(int, unlink, (const char *path), (path), begin_at("unlink", AT_FDCWD, path))
WRAP(int, unlinkat, (int dirfd, const char *path, int flags), (dirfd, path, flags),
     begin_at(flags &AT_REMOVEDIR ? "rmdir" : "unlink", dirfd, path))
WRAP(int, rename, (const char *from, const char *to), (from, to),
     begin_two("rename", AT_FDCWD, from, AT_FDCWD, to))
WRAP(int, renameat, (int from_fd, const char *from, int to_fd, const char *to), (from_fd, from, to_fd, to),
     begin_two("rename", from_fd, from, to_fd, to))
WRAP(int, renameat2, (int from_fd, const char *from, int to_fd, const char *to, unsigned flags),
     (from_fd, from, to_fd, to, flags), begin_two("rename", from_fd, from, to_fd, to))
WRAP(int, link, (const char *from, const char *to), (from, to), begin_two("link", AT_FDCWD, from, AT_FDCWD, to))
WRAP(int, linkat, (int from_fd, const char *from, int to_fd, const char *to, int flags),
     (from_fd, from, to_fd, to, flags), begin_two("link", from_fd, from, to_fd, to))
WRAP(int, symlink, (const char *target, const char *path), (target, path), begin_at("symlink", AT_FDCWD, path))
WRAP(int, symlinkat, (const char *target, int dirfd, const char *path), (target, dirfd, path),
     begin_at("symlink", dirfd, path))

/* An open(2) that may create or empty a file. */
static Call begin_open(int dirfd, const char *path, int flags)
{
        return flags & (O_CREAT | O_TRUNC) ? begin_at("open", dirfd, path) : (Call){ 0 };
}

static mode_t mode_of(int flags, va_list rest)
{
        return flags & (O_CREAT | __O_TMPFILE) ? va_arg(rest, mode_t) : 0;
}

#define WRAP_OPEN(name)                                                                   \
        int name(const char *path, int flags, ...);                                       \
        int name(const char *path, int flags, ...)                                        \
        {                                                                                 \
                int (*real)(const char *, int, ...) =                                     \
                                (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, #name); \
                Call call = begin_open(AT_FDCWD, path, flags);                            \
                va_list rest;                                                             \
                mode_t mode;                                                              \
                int fd;                                                                   \
                                                                                          \
                va_start(rest, flags);                                                    \
                mode = mode_of(flags, rest);                                              \
                va_end(rest);                                                             \
                if (call.error) {                                                         \
                        errno = call.error;                                               \
                        return -1;                                                        \
                }                                                                         \
                                                                                          \
                fd = real(path, flags, mode);                                             \
                end(&call);                                                               \
                return fd;                                                                \
        }

#define WRAP_OPENAT(name)                                                                      \
        int name(int dirfd, const char *path, int flags, ...);                                 \
        int name(int dirfd, const char *path, int flags, ...)                                  \
        {                                                                                      \
                int (*real)(int, const char *, int, ...) =                                     \
                                (int (*)(int, const char *, int, ...))dlsym(RTLD_NEXT, #name); \
                Call call = begin_open(dirfd, path, flags);                                    \
                va_list rest;                                                                  \
                mode_t mode;                                                                   \
                int fd;                                                                        \
                                                                                               \
                va_start(rest, flags);                                                         \
                mode = mode_of(flags, rest);                                                   \
                va_end(rest);                                                                  \
                if (call.error) {                                                              \
                        errno = call.error;                                                    \
                        return -1;                                                             \
                }                                                                              \
                                                                                               \
                fd = real(dirfd, path, flags, mode);                                           \
                end(&call);                                                                    \
                return fd;                                                                     \
        }

WRAP_OPEN(open)
WRAP_OPEN(open64)
WRAP_OPENAT(openat)
WRAP_OPENAT(openat64)

/* The fortified forms have no mode, so they create nothing; but they may empty a file. */
WRAP(int, __open_2, (const char *path, int flags), (path, flags), begin_open(AT_FDCWD, path, flags))
WRAP(int, __open64_2, (const char *path, int flags), (path, flags), begin_open(AT_FDCWD, path, flags))
WRAP(int, __openat_2, (int dirfd, const char *path, int flags), (dirfd, path, flags),
     begin_open(dirfd, path, flags))
WRAP(int, __openat64_2, (int dirfd, const char *path, int flags), (dirfd, path, flags),
     begin_open(dirfd, path, flags))

/* ---- helper programs ---- */

int posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
                const posix_spawnattr_t *attributes, char *const argv[], char *const environment[])
{
        int (*real)(pid_t *, const char *, const posix_spawn_file_actions_t *, const posix_spawnattr_t *,
                    char *const[], char *const[]) = dlsym(RTLD_NEXT, "posix_spawn");
        char name[NAME_SIZE];
        Call call = { 0 };
        int r;

        if (is_tracing()) {
                (void)snprintf(name, sizeof name, "%s spawn %s", program_invocation_short_name, basename(path));
                call = begin_name(name);
        }

        if (call.error)
                return call.error;

        r = real(pid, path, actions, attributes, argv, environment);
        end(&call);
        return r;
}
