/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* io-sysfs.c, writer.c and the program vgpud-write, on real files: a directory in the place of /sys, and
 * files of the kernel whose writes fail. */

#include "drivers-glue/io/io-sysfs.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/log.h"
#include "base/parse-util.h"
#include "drivers-glue/io/writer.h"
#include "scratch.h"
#include "tests.h"

static const char *writer_path; /* path of vgpud-write, the first argument */

typedef struct Fixture {
        Scratch root;
        int dev_fd, proc_fd;
        VgpuIo *io;
} Fixture;

static VgpuIo *io_on(int sysfs_fd, int dev_fd, int proc_fd, int keep_fd)
{
        return vgpu_io_sysfs_new(&(VgpuIoSysfsConfig){ .sysfs_fd = sysfs_fd,
                                                       .dev_fd = dev_fd,
                                                       .proc_fd = proc_fd,
                                                       .keep_fd = keep_fd,
                                                       .writer_path = writer_path });
}

static int open_directory(const char *path)
{
        int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        g_assert(fd >= 0);

        return fd;
}

static Fixture fixture_new(void)
{
        Fixture f = { .root = scratch_new(),
                      .dev_fd = open_directory("/dev"),
                      .proc_fd = open_directory("/proc") };

        f.io = io_on(f.root.fd, f.dev_fd, f.proc_fd, -EBADF);

        return f;
}

static void fixture_free(Fixture *f)
{
        vgpu_io_free(f->io);
        safe_close(f->dev_fd);
        safe_close(f->proc_fd);
        scratch_free(&f->root);
}
#define _cleanup_fixture_ _cleanup_(fixture_free)

static void test_read(void)
{
        _cleanup_fixture_ Fixture f = fixture_new();
        g_autofree char *text = NULL, *page = g_strnfill(VGPU_IO_ATTR_MAX, 'x'),
                        *more = g_strnfill(VGPU_IO_ATTR_MAX + 1, 'x');

        scratch_directory(&f.root, "device");
        scratch_file(&f.root, "device/name", "NVIDIA A2-4Q\n");
        scratch_file(&f.root, "device/lines", "a\n\nb\n\n");
        scratch_file(&f.root, "device/empty", "");
        scratch_file(&f.root, "device/page", page);
        scratch_file(&f.root, "device/more", more);
        ASSERT_OK(vgpu_io_read(f.io, "device/name", &text));
        ASSERT_STREQ(text, "NVIDIA A2-4Q");
        g_clear_pointer(&text, g_free);
        ASSERT_OK(vgpu_io_read(f.io, "device/lines", &text));
        ASSERT_STREQ(text, "a\n\nb\n");
        g_clear_pointer(&text, g_free);
        ASSERT_OK(vgpu_io_read(f.io, "device/empty", &text));
        ASSERT_STREQ(text, "");
        g_clear_pointer(&text, g_free);
        ASSERT_OK(vgpu_io_read(f.io, "device/page", &text));
        ASSERT_STREQ(text, page);
        g_clear_pointer(&text, g_free);
        ASSERT_ERROR(vgpu_io_read(f.io, "device/more", &text), EFBIG);
        ASSERT_ERROR(vgpu_io_read(f.io, "device", &text), EISDIR);
        ASSERT_ERROR(vgpu_io_read(f.io, "device/nothing", &text), ENOENT);
        ASSERT_ERROR(vgpu_io_read(f.io, "device/name/x", &text), ENOTDIR);
        ASSERT_NULL(text);
}

/* The read(2) calls of this thread so far. */
static uint64_t count_reads(void)
{
        g_autofree char *text = NULL;
        uint64_t n;
        char *line;

        g_assert(g_file_get_contents("/proc/thread-self/io", &text, NULL, NULL));
        line = strstr(text, "syscr: ");
        g_assert(line);
        line += strlen("syscr: ");
        *strchrnul(line, '\n') = 0;
        g_assert(parse_u64(line, 10, &n) >= 0);

        return n;
}

/* A scan reads thousands of attributes, so each must cost only one read(2). */
static void test_read_once(void)
{
        _cleanup_fixture_ Fixture f = fixture_new();
        uint64_t before;

        scratch_directory(&f.root, "device");
        scratch_file(&f.root, "device/available_instances", "4\n");
        before = count_reads();
        for (unsigned i = 0; i < 100; i++) {
                g_autofree char *text = NULL;

                ASSERT_OK(vgpu_io_read(f.io, "device/available_instances", &text));
                ASSERT_STREQ(text, "4");
        }

        /* count_reads() itself reads a few times. */
        ASSERT_TRUE(count_reads() - before < 110);
}

/* VgpuIo keeps folders open between calls, but must notice when a folder is replaced. */
static void test_folders_change(void)
{
        _cleanup_fixture_ Fixture f = fixture_new();
        g_autofree char *text = NULL;

        scratch_directory(&f.root, "a");
        scratch_directory(&f.root, "a/b");
        scratch_directory(&f.root, "a/bb");
        scratch_file(&f.root, "a/b/x", "first");
        scratch_file(&f.root, "a/bb/x", "other");
        ASSERT_OK(vgpu_io_read(f.io, "a/b/x", &text));
        ASSERT_STREQ(text, "first");
        g_clear_pointer(&text, g_free);
        ASSERT_OK(vgpu_io_read(f.io, "a/bb/x", &text));
        ASSERT_STREQ(text, "other");
        g_clear_pointer(&text, g_free);
        ASSERT_OK(vgpu_io_read(f.io, "a/b/x", &text));
        g_clear_pointer(&text, g_free);

        /* The folder is removed and created again under the same name. */
        ASSERT_EQ(unlinkat(f.root.fd, "a/b/x", 0), 0);
        ASSERT_ERROR(vgpu_io_read(f.io, "a/b/x", &text), ENOENT);
        ASSERT_EQ(unlinkat(f.root.fd, "a/b", AT_REMOVEDIR), 0);
        ASSERT_ERROR(vgpu_io_read(f.io, "a/b/x", &text), ENOENT);
        scratch_directory(&f.root, "a/b");
        scratch_file(&f.root, "a/b/x", "second");
        ASSERT_OK(vgpu_io_read(f.io, "a/b/x", &text));
        ASSERT_STREQ(text, "second");
        g_clear_pointer(&text, g_free);
        ASSERT_EQ(unlinkat(f.root.fd, "a/b/x", 0), 0);
        ASSERT_EQ(unlinkat(f.root.fd, "a/b", AT_REMOVEDIR), 0);
        scratch_directory(&f.root, "a/b");
        scratch_file(&f.root, "a/b/x", "third");
        ASSERT_OK(vgpu_io_read(f.io, "a/b/x", &text));
        ASSERT_STREQ(text, "third");
        g_clear_pointer(&text, g_free);

        /* The folder "a" is replaced, and the new one has a folder "b" too. */
        ASSERT_ERROR(vgpu_io_read(f.io, "a/b/y", &text), ENOENT);
        ASSERT_EQ(unlinkat(f.root.fd, "a/b/x", 0), 0);
        ASSERT_EQ(unlinkat(f.root.fd, "a/b", AT_REMOVEDIR), 0);
        ASSERT_EQ(unlinkat(f.root.fd, "a/bb/x", 0), 0);
        ASSERT_EQ(unlinkat(f.root.fd, "a/bb", AT_REMOVEDIR), 0);
        ASSERT_EQ(unlinkat(f.root.fd, "a", AT_REMOVEDIR), 0);
        scratch_directory(&f.root, "a");
        scratch_directory(&f.root, "a/b");
        scratch_directory(&f.root, "a/bb");
        scratch_file(&f.root, "a/b/x", "fourth");
        scratch_file(&f.root, "a/b/y", "new");
        ASSERT_OK(vgpu_io_read(f.io, "a/b/y", &text));
        ASSERT_STREQ(text, "new");
        g_clear_pointer(&text, g_free);
        ASSERT_EQ(unlinkat(f.root.fd, "a/b/y", 0), 0);
        ASSERT_ERROR(vgpu_io_read(f.io, "a/b/y/z", &text), ENOENT);

        /* A link replaces the folder. */
        ASSERT_EQ(unlinkat(f.root.fd, "a/b/x", 0), 0);
        ASSERT_EQ(unlinkat(f.root.fd, "a/b", AT_REMOVEDIR), 0);
        scratch_link(&f.root, "a/b", "bb");
        ASSERT_ERROR(vgpu_io_read(f.io, "a/b/x", &text), ELOOP);
        ASSERT_NULL(text);
}

/* Paths have up to 60 folders, which is more than the cache of open folders holds (TRAIL_MAX). */
static void test_deep(void)
{
        _cleanup_fixture_ Fixture f = fixture_new();
        g_autoptr(GString) path = g_string_new("d");
        g_autofree char *text = NULL;

        for (unsigned i = 0; i < 60; i++) {
                g_autofree char *file = g_strconcat(path->str, "/file", NULL);

                scratch_directory(&f.root, path->str);
                scratch_file(&f.root, file, "deep");
                ASSERT_OK(vgpu_io_read(f.io, file, &text));
                ASSERT_STREQ(text, "deep");
                g_clear_pointer(&text, g_free);
                g_string_append(path, "/d");
        }
}

static void test_binary(void)
{
        _cleanup_fixture_ Fixture f = fixture_new();
        _cleanup_close_ int fd = openat(f.root.fd, "config", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
        char *text = NULL;

        ASSERT_EQ(write(fd, "a\0b", 3), 3);
        ASSERT_ERROR(vgpu_io_read(f.io, "config", &text), EINVAL);
        ASSERT_NULL(text);
}

static void test_links_refused(void)
{
        _cleanup_fixture_ Fixture f = fixture_new();
        g_autofree char *text = NULL, *before = NULL;
        char **names = NULL;

        scratch_directory(&f.root, "devices");
        scratch_directory(&f.root, "devices/gpu");
        scratch_file(&f.root, "devices/gpu/class", "0x030000\n");
        scratch_directory(&f.root, "class");
        scratch_link(&f.root, "class/gpu", "../devices/gpu");
        scratch_link(&f.root, "devices/gpu/alias", "class");
        scratch_link(&f.root, "devices/gpu/out", "/etc/passwd");
        ASSERT_ERROR(vgpu_io_read(f.io, "class/gpu/class", &text), ELOOP);
        ASSERT_ERROR(vgpu_io_read(f.io, "devices/gpu/alias", &text), ELOOP);
        ASSERT_ERROR(vgpu_io_read(f.io, "devices/gpu/out", &text), ELOOP);
        ASSERT_ERROR(vgpu_io_write(f.io, "class/gpu/class", "x"), ELOOP);
        ASSERT_ERROR(vgpu_io_write(f.io, "devices/gpu/alias", "x"), ELOOP);
        ASSERT_ERROR(vgpu_io_write_guarded(f.io, "devices/gpu/alias", "x"), ELOOP);
        ASSERT_ERROR(vgpu_io_list(f.io, "class/gpu", &names), ELOOP);
        ASSERT_ERROR(vgpu_io_read_link(f.io, "class/gpu/alias", &text), ELOOP);
        ASSERT_NULL(text);
        ASSERT_OK(vgpu_io_read(f.io, "devices/gpu/class", &before));
        ASSERT_STREQ(before, "0x030000");
}

static void test_read_links(void)
{
        _cleanup_fixture_ Fixture f = fixture_new();
        g_autofree char *text = NULL, *path = NULL, *name = NULL;

        scratch_directory(&f.root, "class");
        scratch_file(&f.root, "class/file", "");
        scratch_link(&f.root, "class/gpu", "../devices/pci0000:00/0000:00:02.0");
        ASSERT_OK(vgpu_io_read_link(f.io, "class/gpu", &text));
        ASSERT_STREQ(text, "../devices/pci0000:00/0000:00:02.0");
        ASSERT_OK(vgpu_io_resolve_link(f.io, "class/gpu", &path));
        ASSERT_STREQ(path, "devices/pci0000:00/0000:00:02.0");
        ASSERT_OK(vgpu_io_read_link_name(f.io, "class/gpu", &name));
        ASSERT_STREQ(name, "0000:00:02.0");
        g_clear_pointer(&text, g_free);
        ASSERT_ERROR(vgpu_io_read_link(f.io, "class/file", &text), EINVAL);
        ASSERT_ERROR(vgpu_io_read_link(f.io, "class", &text), EINVAL);
        ASSERT_ERROR(vgpu_io_read_link(f.io, "class/nothing", &text), ENOENT);
        ASSERT_NULL(text);
}

static void test_list(void)
{
        _cleanup_fixture_ Fixture f = fixture_new();
        g_auto(GStrv) names = NULL;
        g_autofree char *joined = NULL;

        scratch_directory(&f.root, "types");
        scratch_directory(&f.root, "types/b");
        scratch_directory(&f.root, "types/a");
        scratch_file(&f.root, "types/a/create", "");
        ASSERT_OK(vgpu_io_list(f.io, "types", &names));
        joined = g_strjoinv(" ", names);
        ASSERT_STREQ(joined, "a b");
        g_clear_pointer(&names, g_strfreev);
        ASSERT_ERROR(vgpu_io_list(f.io, "types/a/create", &names), ENOTDIR);
        ASSERT_ERROR(vgpu_io_list(f.io, "nothing", &names), ENOENT);
        ASSERT_NULL(names);
}

static void test_write(void)
{
        _cleanup_fixture_ Fixture f = fixture_new();
        g_autofree char *plain = NULL, *guarded = NULL;

        scratch_file(&f.root, "a", "");
        scratch_file(&f.root, "b", "");
        ASSERT_OK(vgpu_io_write(f.io, "a", "value"));
        ASSERT_OK(vgpu_io_write_guarded(f.io, "b", "another value\n"));
        ASSERT_OK(vgpu_io_read(f.io, "a", &plain));
        ASSERT_STREQ(plain, "value");
        ASSERT_OK(vgpu_io_read(f.io, "b", &guarded));
        ASSERT_STREQ(guarded, "another value");
        ASSERT_ERROR(vgpu_io_write(f.io, "nothing", "x"), ENOENT);
        ASSERT_ERROR(vgpu_io_write_guarded(f.io, "nothing", "x"), ENOENT);
        ASSERT_ERROR(vgpu_io_write_guarded(f.io, "a/b", "x"), ENOTDIR);
}

/* vgpud-write appends the witness only if the write succeeded and the device exists afterwards. */
static void test_witness(void)
{
        _cleanup_fixture_ Fixture f = fixture_new();
        VgpuIo *dev = io_on(f.dev_fd, f.dev_fd, f.proc_fd, -EBADF);
        g_autofree char *text = NULL, *expected = NULL;
        uint64_t identity;

        scratch_file(&f.root, "create", "");
        scratch_file(&f.root, "record", "Made=false\n");
        scratch_directory(&f.root, "parent");
        scratch_directory(&f.root, "parent/device");
        _cleanup_close_ int fd = openat(f.root.fd, "record", O_WRONLY | O_APPEND | O_CLOEXEC);
        VgpuWitness there = { .device = "parent/device", .fd = fd },
                    missing = { .device = "parent/x", .fd = fd },
                    nowhere = { .device = "nothing/device", .fd = fd },
                    full = { .device = "pts/ptmx", .fd = fd };

        /* A write to /dev/full fails, although the device pts/ptmx exists. */
        int failed = vgpu_io_write_witnessed(dev, "full", "x", &full);
        vgpu_io_free(dev);
        ASSERT_ERROR(failed, ENOSPC);
        ASSERT_ERROR(vgpu_io_write_witnessed(f.io, "no-create", "x", &there), ENOENT);
        ASSERT_OK(vgpu_io_write_witnessed(f.io, "create", "x", &missing));
        ASSERT_OK(vgpu_io_write_witnessed(f.io, "create", "x", &nowhere));
        ASSERT_OK(vgpu_io_write_witnessed(f.io, "create", "x", NULL));
        ASSERT_OK(vgpu_io_read(f.io, "record", &text));
        ASSERT_STREQ(text, "Made=false");
        g_clear_pointer(&text, g_free);

        ASSERT_OK(vgpu_io_write_witnessed(f.io, "create", "0123", &there));
        ASSERT_OK(vgpu_io_identify(f.io, "parent/device", &identity));
        expected = g_strdup_printf("Made=false\n" VGPU_WITNESS_FORMAT, (unsigned long long)identity);
        expected[strlen(expected) - 1] = 0;
        ASSERT_OK(vgpu_io_read(f.io, "record", &text));
        ASSERT_STREQ(text, expected);
        g_clear_pointer(&text, g_free);
        ASSERT_OK(vgpu_io_read(f.io, "create", &text));
        ASSERT_STREQ(text, "0123");
}

/* The plain and the guarded write return the errno of write(2). */
static void test_errno(void)
{
        _cleanup_fixture_ Fixture f = fixture_new();
        _cleanup_close_ int self = open_directory("/proc/self");
        VgpuIo *dev = io_on(f.dev_fd, f.dev_fd, f.proc_fd, -EBADF),
               *proc = io_on(self, f.dev_fd, f.proc_fd, -EBADF);

        int full = vgpu_io_write(dev, "full", "x"), full_guarded = vgpu_io_write_guarded(dev, "full", "x");
        int bad = vgpu_io_write(proc, "oom_score_adj", "x"),
            bad_guarded = vgpu_io_write_guarded(proc, "oom_score_adj", "x");
        int good_guarded = vgpu_io_write_guarded(dev, "null", "x");

        vgpu_io_free(dev);
        vgpu_io_free(proc);
        ASSERT_ERROR(full, ENOSPC);
        ASSERT_ERROR(full_guarded, ENOSPC);
        ASSERT_ERROR(bad, EINVAL);
        ASSERT_ERROR(bad_guarded, EINVAL);
        ASSERT_OK(good_guarded);
}

/* One child does many writes for a Writer that has no VgpuIo. */

static void test_writer_many(void)
{
        _cleanup_scratch_ Scratch s = scratch_new();
        GString *expected = g_string_new(NULL), *got = g_string_new(NULL);
        Writer *w = NULL;
        int failed = 0, r;

        r = writer_new(writer_path, -EBADF, &w);
        scratch_file(&s, "file", "");

        for (int i = 0; r >= 0 && i < 256; i++) {
                /* A child that kept each of these descriptors open would run out of descriptors. */
                _cleanup_close_ int fd = openat(s.fd, "file", O_WRONLY | O_APPEND | O_CLOEXEC);
                g_autofree char *line = g_strdup_printf("%d\n", i);

                g_string_append(expected, line);
                failed += writer_write(w, fd, line, strlen(line), NULL) < 0;
        }

        writer_free(w);
        _cleanup_close_ int fd = openat(s.fd, "file", O_RDONLY | O_CLOEXEC);
        char block[4096];

        for (ssize_t n; (n = read(fd, block, sizeof(block))) > 0;)
                g_string_append_len(got, block, n);
        g_autofree char *a = g_string_free(got, FALSE), *b = g_string_free(expected, FALSE);
        ASSERT_OK(r);
        ASSERT_EQ(failed, 0);
        ASSERT_STREQ(a, b);
}

/* The child has five open descriptors: /dev/null three times, the socket, and keep_fd. */
static void test_writer_descriptors(void)
{
        _cleanup_scratch_ Scratch s = scratch_new();
        _cleanup_close_ int keep = openat(s.fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600), probe = -EBADF;
        int leak = openat(s.fd, "leak", O_RDWR | O_CREAT, 0600); /* without O_CLOEXEC */
        Writer *w = NULL;
        GString *children = g_string_new(NULL);
        unsigned seen = 0;

        /* `keep` and `leak` may have the same numbers as descriptors in the child, which must do no harm. */
        g_assert(keep >= 0 && leak >= 0);
        int r = writer_new(writer_path, keep, &w);
        close(leak);
        g_auto(GStrv) pids = NULL;
        g_autofree char *all = NULL;
        ASSERT_OK(r);
        probe = open("/dev/null", O_WRONLY | O_CLOEXEC);
        ASSERT_OK(writer_write(w, probe, "x", 1, NULL)); /* the child runs now */

        g_assert(g_file_get_contents("/proc/thread-self/children", &all, NULL, NULL));
        pids = g_strsplit(all, " ", -1);

        for (char **p = pids; *p; p++) {
                g_autofree char *path = g_strdup_printf("/proc/%s/fd", *p);
                GDir *d = **p ? g_dir_open(path, 0, NULL) : NULL;

                if (!d)
                        continue;

                for (const char *name; (name = g_dir_read_name(d));) {
                        g_autofree char *link = g_strdup_printf("%s/%s", path, name);
                        g_autofree char *target = g_file_read_link(link, NULL);

                        if (strcmp(name, "3") == 0 && target && g_str_has_prefix(target, "socket:"))
                                target[strlen("socket:")] = 0;
                        g_string_append_printf(children, "%s %s\n", name,
                                               target ? strrchr(target, '/') ?: target : "?");
                        seen++;
                }

                g_dir_close(d);
        }

        writer_free(w);
        g_autofree char *text = g_string_free(children, FALSE);
        g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
        ASSERT_EQ(seen, 5);
        ASSERT_TRUE(g_strv_contains((const char *const *)lines, "0 /null"));
        ASSERT_TRUE(g_strv_contains((const char *const *)lines, "1 /null"));
        ASSERT_TRUE(g_strv_contains((const char *const *)lines, "2 /null"));
        ASSERT_TRUE(g_strv_contains((const char *const *)lines, "3 socket:"));
        ASSERT_TRUE(g_strv_contains((const char *const *)lines, "4 /lock"));
}

static void test_writer_refuses(void)
{
        g_autofree char *more = g_strnfill(VGPU_IO_ATTR_MAX + 1, 'x');
        _cleanup_close_ int null = open("/dev/null", O_WRONLY | O_CLOEXEC),
                            readable = open("/dev/null", O_RDONLY | O_CLOEXEC);
        Writer *w = NULL;

        ASSERT_ERROR(writer_new("/nonexistent/vgpud-write", -EBADF, &w), ENOENT);
        ASSERT_NULL(w);
        ASSERT_OK(writer_new(writer_path, -EBADF, &w));
        int empty = writer_write(w, null, "", 0, NULL), large = writer_write(w, null, more, strlen(more), NULL);
        int not_writable = writer_write(w, readable, "x", 1, NULL),
            page = writer_write(w, null, more, VGPU_IO_ATTR_MAX, NULL);
        writer_free(w);
        ASSERT_ERROR(empty, EINVAL);
        ASSERT_ERROR(large, EINVAL);
        ASSERT_ERROR(not_writable, EBADF);
        ASSERT_OK(page);
}

/* A value takes one write(2). If the write is short, here at the limit of 10 bytes, the result is an error. */
static void test_short_write(void)
{
        _cleanup_fixture_ Fixture f = fixture_new();
        g_autofree char *text = NULL;
        struct rlimit before, ten;

        scratch_file(&f.root, "a", "");
        scratch_file(&f.root, "b", "");
        g_assert(getrlimit(RLIMIT_FSIZE, &before) == 0);
        ten = before;
        ten.rlim_cur = 10;
        g_assert(setrlimit(RLIMIT_FSIZE, &ten) == 0);
        int r = vgpu_io_write(f.io, "a", "0123456789abcdef"),
            guarded = vgpu_io_write_guarded(f.io, "b", "0123456789abcdef");
        g_assert(setrlimit(RLIMIT_FSIZE, &before) == 0);
        ASSERT_ERROR(r, EIO);
        ASSERT_ERROR(guarded, EIO);
        ASSERT_OK(vgpu_io_read(f.io, "b", &text));
        ASSERT_STREQ(text, "0123456789");
}

/* Returns the process id of the only child; 0: there is none. */
static pid_t only_child_of(pid_t parent)
{
        g_autofree char *path = g_strdup_printf("/proc/%d/task/%d/children", parent, parent), *text = NULL;
        uint32_t pid = 0;

        if (g_file_get_contents(path, &text, NULL, NULL))
                (void)parse_u32(g_strstrip(text), 10, &pid);

        return (pid_t)pid;
}

static pid_t only_child(void)
{
        return only_child_of(getpid());
}

/* If the writer dies, the write fails with EPROTO, and the next write starts a new writer. */
static void test_writer_killed(void)
{
        _cleanup_fixture_ Fixture f = fixture_new();

        scratch_file(&f.root, "a", "");
        ASSERT_OK(vgpu_io_write_guarded(f.io, "a", "one"));
        pid_t pid = only_child();
        ASSERT_TRUE(pid > 0);
        ASSERT_EQ(kill(pid, SIGKILL), 0);
        /* Wait until the child is dead, but let the code under test reap it. */
        siginfo_t info;
        ASSERT_EQ(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
        ASSERT_ERROR(vgpu_io_write_guarded(f.io, "a", "two"), EPROTO);
        ASSERT_EQ(only_child(), 0); /* reaped */
        /* The value is as long as "one", because the write does not truncate the file. */
        ASSERT_OK(vgpu_io_write_guarded(f.io, "a", "3!!"));
        g_autofree char *text = NULL;
        ASSERT_OK(vgpu_io_read(f.io, "a", &text));
        ASSERT_STREQ(text, "3!!");
}

/* A missing vgpud-write is EPROTO, not ENOENT, which would mean a missing attribute. */
static void test_writer_missing(void)
{
        _cleanup_fixture_ Fixture f = fixture_new();
        VgpuIo *io = vgpu_io_sysfs_new(&(VgpuIoSysfsConfig){ .sysfs_fd = f.root.fd,
                                                             .dev_fd = f.dev_fd,
                                                             .proc_fd = f.proc_fd,
                                                             .keep_fd = -EBADF,
                                                             .writer_path = "/nonexistent/vgpud-write" });

        scratch_file(&f.root, "a", "");
        int r = vgpu_io_write_guarded(io, "a", "x"), again = vgpu_io_write_guarded(io, "a", "x");
        vgpu_io_free(io);
        ASSERT_ERROR(r, EPROTO);
        ASSERT_ERROR(again, EPROTO);
}

/* Each write makes one debug line with the value, the path, the result and the microseconds. */
static void test_debug_lines(void)
{
        _cleanup_fixture_ Fixture f = fixture_new();
        g_autofree char *text = NULL;
        int level = log_get_max_level();

        scratch_file(&f.root, "a", "");
        scratch_file(&f.root, "log", "");
        _cleanup_close_ int log = openat(f.root.fd, "log", O_WRONLY | O_APPEND | O_CLOEXEC);
        _cleanup_close_ int before = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 10);
        g_assert(log >= 0 && before >= 0 && dup2(log, STDERR_FILENO) >= 0);
        log_set_max_level(LOG_DEBUG);
        int r = vgpu_io_write(f.io, "a", "plain\n"), guarded = vgpu_io_write_guarded(f.io, "a", "guarded");
        int failed = vgpu_io_write_guarded(f.io, "b", "x");
        log_set_max_level(level);
        g_assert(dup2(before, STDERR_FILENO) >= 0);
        ASSERT_OK(r);
        ASSERT_OK(guarded);
        ASSERT_ERROR(failed, ENOENT);
        ASSERT_OK(vgpu_io_read(f.io, "log", &text));
        g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
        ASSERT_EQ(g_strv_length(lines), 3);
        ASSERT_CONTAINS(lines[0], "\"plain\\n\" to /sys/a: done, ");
        ASSERT_CONTAINS(lines[1], "\"guarded\" to /sys/a: done, ");
        ASSERT_CONTAINS(lines[2], "\"x\" to /sys/b: No such file or directory, ");

        for (size_t i = 0; i < 3; i++)
                ASSERT_TRUE(g_str_has_suffix(lines[i], " us"));
}

static void test_release_writer(void)
{
        _cleanup_fixture_ Fixture f = fixture_new();

        scratch_file(&f.root, "a", "");
        vgpu_io_sysfs_rest(f.io);
        ASSERT_EQ(only_child(), 0);
        ASSERT_OK(vgpu_io_write_guarded(f.io, "a", "x"));
        ASSERT_TRUE(only_child() > 0);
        vgpu_io_sysfs_rest(f.io);
        ASSERT_EQ(only_child(), 0);
        ASSERT_OK(vgpu_io_write_guarded(f.io, "a", "x"));
}

/* Runs in a child of the test, which plays the daemon: its write blocks, because the pipe is full. */
static void write_into_full_pipe(int out, int lock, const WriterWitness *witness)
{
        g_autofree char *page = g_strnfill(VGPU_IO_ATTR_MAX, 'y');
        Writer *w = NULL;

        if (writer_new(writer_path, lock, &w) < 0)
                _exit(1);
        (void)writer_write(w, out, page, VGPU_IO_ATTR_MAX, witness);
        _exit(2); /* not reached: the write blocks */
}

/* True if process pid runs vgpud-write, and has received the descriptor to write to. */
static bool writer_has_request(pid_t pid)
{
        g_autofree char *comm_path = g_strdup_printf("/proc/%d/comm", pid), *comm = NULL;
        g_autofree char *fd_path = g_strdup_printf("/proc/%d/fd/%d", pid, WRITER_KEEP_FD + 1), *target = NULL;

        if (!g_file_get_contents(comm_path, &comm, NULL, NULL) || strcmp(comm, "vgpud-write\n") != 0)
                return false;

        target = g_file_read_link(fd_path, NULL);

        return target && g_str_has_prefix(target, "pipe:");
}

/* SIGKILL ends the daemon at once although its write hangs. vgpud-write finishes the write and appends to
 * the record, and holds the inherited lock until then. */
static void test_hang(void)
{
        _cleanup_scratch_ Scratch s = scratch_new();
        _cleanup_close_ int lock = openat(s.fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600), again = -EBADF;
        _cleanup_close_ int record = openat(s.fd, "record", O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        char block[4096];
        int fds[2], status;
        size_t before = 0, after = 0;

        g_assert(pipe2(fds, O_CLOEXEC) == 0);
        _cleanup_close_ int in = fds[0], out = fds[1];
        ASSERT_EQ(flock(lock, LOCK_EX | LOCK_NB), 0);
        /* Fill the pipe. */
        g_assert(fcntl(out, F_SETFL, O_NONBLOCK) == 0);
        memset(block, 'x', sizeof(block));

        for (ssize_t n; (n = write(out, block, sizeof(block))) > 0;)
                before += (size_t)n;
        g_assert(fcntl(out, F_SETFL, 0) == 0);

        pid_t daemon = fork();
        if (daemon == 0)
                write_into_full_pipe(
                                out, lock,
                                &(WriterWitness){ .folder_fd = s.fd, .name = "lock", .record_fd = record });
        ASSERT_TRUE(daemon > 0);
        lock = safe_close(lock);
        out = safe_close(out);

        while (!writer_has_request(only_child_of(daemon)))
                sched_yield();
        ASSERT_EQ(waitpid(daemon, &status, WNOHANG), 0); /* the daemon still runs */
        ASSERT_EQ(kill(daemon, SIGKILL), 0);
        ASSERT_EQ(waitpid(daemon, &status, 0), daemon);
        ASSERT_TRUE(WIFSIGNALED(status));

        /* A new daemon cannot take the lock, so it knows that the write is in progress. */
        again = openat(s.fd, "lock", O_RDWR | O_CLOEXEC);
        ASSERT_TRUE(flock(again, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK);

        /* The test empties the pipe: the whole write arrives, and vgpud-write releases the lock. */
        for (ssize_t n; (n = read(in, block, sizeof(block))) > 0;)
                for (ssize_t i = 0; i < n; i++)
                        after += block[i] == 'y';

        ASSERT_EQ(flock(again, LOCK_EX), 0);
        ASSERT_TRUE(before > 0);
        ASSERT_EQ(after, VGPU_IO_ATTR_MAX);
        ssize_t size = pread(record, block, sizeof(block) - 1, 0);
        ASSERT_TRUE(size > 0);
        block[size] = 0;
        ASSERT_TRUE(g_str_has_prefix(block, "Identity="));
}

static void *write_guarded_in_thread(void *p)
{
        return GINT_TO_POINTER(vgpu_io_write_guarded(p, "pipe", "x"));
}

/* A blocked write does not delay other lanes. */
static void test_hang_blocks_only_the_caller(void)
{
        _cleanup_fixture_ Fixture f = fixture_new();
        VgpuIo *other = io_on(f.root.fd, f.dev_fd, f.proc_fd, -EBADF);
        char block[4096] = { 0 };
        pthread_t thread;
        void *result;

        scratch_fifo(&f.root, "pipe");
        scratch_file(&f.root, "file", "");
        _cleanup_close_ int fifo = openat(f.root.fd, "pipe", O_RDWR | O_NONBLOCK | O_CLOEXEC);

        while (write(fifo, block, sizeof(block)) > 0)
                ;
        g_assert(pthread_create(&thread, NULL, write_guarded_in_thread, f.io) == 0);
        int r = vgpu_io_write_guarded(other, "file", "x");

        while (read(fifo, block, sizeof(block)) > 0)
                ;
        g_assert(pthread_join(thread, &result) == 0);
        vgpu_io_free(other);
        ASSERT_OK(r);
        ASSERT_OK(GPOINTER_TO_INT(result));
}

/* VgpuIo finds and opens nodes in /dev without following a link. */

static void test_nodes(void)
{
        _cleanup_fixture_ Fixture f = fixture_new();
        VgpuIo *io = io_on(f.root.fd, f.root.fd, f.proc_fd, -EBADF);

        scratch_directory(&f.root, "vfio");
        scratch_file(&f.root, "vfio/12", "");
        scratch_link(&f.root, "vfio/13", "12");
        int exists = vgpu_io_node_exists(io, "vfio/12"), missing = vgpu_io_node_exists(io, "vfio/14");
        int no_folder = vgpu_io_node_exists(io, "nothing/14");
        int fd = vgpu_io_open_group(io, 12), link = vgpu_io_open_group(io, 13),
            no_node = vgpu_io_open_group(io, 14);
        int flags = fcntl(fd, F_GETFD), mode = fcntl(fd, F_GETFL);
        safe_close(fd);
        vgpu_io_free(io);
        ASSERT_EQ(exists, 1);
        ASSERT_EQ(missing, 0);
        ASSERT_EQ(no_folder, 0);
        ASSERT_TRUE(fd >= 0);
        ASSERT_TRUE(flags & FD_CLOEXEC);
        ASSERT_EQ(mode & O_ACCMODE, O_RDONLY);
        ASSERT_TRUE(mode & O_NONBLOCK);
        ASSERT_ERROR(link, ELOOP);
        ASSERT_ERROR(no_node, ENOENT);
}

/* A folder replaces /proc. Its symbolic links stand for open files. */
static void test_find_holder(void)
{
        _cleanup_fixture_ Fixture f = fixture_new();
        _cleanup_scratch_ Scratch proc = scratch_new();
        VgpuIo *io = io_on(f.root.fd, f.dev_fd, proc.fd, -EBADF);
        g_autofree char *command = NULL;
        int pid = 0;

        scratch_directory(&proc, "1");
        scratch_directory(&proc, "1/fd");
        scratch_link(&proc, "1/fd/0", "/dev/null");
        scratch_directory(&proc, "99"); /* a process that ends during the search */
        scratch_directory(&proc, "4711");
        scratch_directory(&proc, "4711/fd");
        scratch_link(&proc, "4711/fd/17", "/dev/vfio/12");
        scratch_link(&proc, "4711/fd/18", "anon_inode:[vfio-device]");
        scratch_file(&proc, "4711/comm", "qemu-system-x86\n");
        scratch_directory(&proc, "self");
        scratch_file(&proc, "uptime", "1 2\n");

        int found = vgpu_io_find_holder(io, "vfio/12", &pid, &command);
        int found_pid = pid;
        char *none = NULL;
        int not_found = vgpu_io_find_holder(io, "vfio/1", &pid, &none);
        g_autoptr(GHashTable) held = NULL;
        scratch_link(&proc, "4711/fd/19", "/dev/vfio/devices/vfio3");
        int listed = vgpu_io_list_held(io, "vfio", &held);
        vgpu_io_free(io);
        ASSERT_OK(listed);
        ASSERT_EQ(g_hash_table_size(held), 2);
        ASSERT_TRUE(g_hash_table_contains(held, "12"));
        ASSERT_TRUE(g_hash_table_contains(held, "devices/vfio3"));
        ASSERT_EQ(found, 1);
        ASSERT_EQ(found_pid, 4711);
        ASSERT_STREQ(command, "qemu-system-x86");
        ASSERT_EQ(not_found, 0);
        ASSERT_NULL(none);
}

/* The test uses the real /proc. A folder replaces /dev. */
static void test_find_holder_real(void)
{
        _cleanup_fixture_ Fixture f = fixture_new();
        VgpuIo *io = io_on(f.root.fd, f.root.fd, f.proc_fd, -EBADF);
        g_autofree char *command = NULL, *comm = NULL;
        char *nobody = NULL;
        int pid = 0, other = 0;

        scratch_directory(&f.root, "vfio");
        scratch_file(&f.root, "vfio/12", "");
        int before = vgpu_io_find_holder(io, "vfio/12", &other, &nobody);
        int fd = openat(f.root.fd, "vfio/12", O_RDONLY | O_CLOEXEC);
        int during = vgpu_io_find_holder(io, "vfio/12", &pid, &command);
        safe_close(fd);
        vgpu_io_free(io);
        g_assert(g_file_get_contents("/proc/self/comm", &comm, NULL, NULL));
        ASSERT_TRUE(before == 0 || before == -EACCES);
        ASSERT_NULL(nobody);
        ASSERT_EQ(during, 1);
        ASSERT_EQ(pid, getpid());
        ASSERT_STREQ(command, g_strchomp(comm));
}

/* Returns a VgpuIo that runs a shell script as VGPU_PROGRAM_NVML. */
static VgpuIo *io_with_program(Fixture *f, int keep_fd, const char *text)
{
        g_autofree char *script = g_strconcat("#!/bin/sh\n", text, "\n", NULL);
        g_autofree char *path = g_strdup_printf("%s/program", f->root.path);

        scratch_file(&f->root, "program", script);
        g_assert(fchmodat(f->root.fd, "program", 0700, 0) == 0);

        return vgpu_io_sysfs_new(&(VgpuIoSysfsConfig){ .sysfs_fd = f->root.fd,
                                                       .dev_fd = f->dev_fd,
                                                       .proc_fd = f->proc_fd,
                                                       .keep_fd = keep_fd,
                                                       .writer_path = writer_path,
                                                       .programs = { [VGPU_PROGRAM_NVML] = path } });
}

static int run_program(Fixture *f, int keep_fd, const char *text, char **ret_output)
{
        VgpuIo *io = io_with_program(f, keep_fd, text);
        int r = vgpu_io_run(io, VGPU_PROGRAM_NVML, (const char *const[]){ "query", "0000:41:00.0", NULL },
                            ret_output);

        vgpu_io_free(io);

        return r;
}

static void test_run(void)
{
        _cleanup_fixture_ Fixture f = fixture_new();
        g_autofree char *output = NULL;

        ASSERT_EQ(run_program(&f, -EBADF, "echo \"$# $1 $2\"; exit 7", &output), 7);
        ASSERT_STREQ(output, "2 query 0000:41:00.0\n");
        g_clear_pointer(&output, g_free);
        ASSERT_EQ(run_program(&f, -EBADF, ":", &output), 0);
        ASSERT_STREQ(output, "");
        g_clear_pointer(&output, g_free);
        ASSERT_EQ(run_program(&f, -EBADF, "kill -KILL $$", &output), 128 + SIGKILL);
        ASSERT_EQ(only_child(), 0); /* reaped */
}

/* The child has a minimal environment, no standard input, its own session and no blocked signals. */
static void test_run_surroundings(void)
{
        _cleanup_fixture_ Fixture f = fixture_new();
        g_autofree char *output = NULL;
        sigset_t blocked, before;

        g_setenv("VGPUD_TEST_SECRET", "1", true);
        sigemptyset(&blocked);
        sigaddset(&blocked, SIGTERM);
        g_assert(sigprocmask(SIG_BLOCK, &blocked, &before) == 0);
        int r = run_program(
                        &f, -EBADF,
                        "unset PWD OLDPWD SHLVL _; export -p; cat; read -r _ _ _ _ _ session _ </proc/$$/stat; [ \"$session\" = $$ ] || echo session $session; grep SigBlk /proc/self/status",
                        &output);
        g_assert(sigprocmask(SIG_SETMASK, &before, NULL) == 0);
        g_unsetenv("VGPUD_TEST_SECRET");
        ASSERT_EQ(r, 0);
        ASSERT_STREQ(output, "export LANG='C'\nexport PATH='/usr/sbin:/usr/bin:/sbin:/bin'\n"
                             "SigBlk:\t0000000000000000\n");
}

/* Besides descriptors 0, 1 and 2, the child has only the lock of the lane, as descriptor 3. */
static void test_run_descriptors(void)
{
        _cleanup_fixture_ Fixture f = fixture_new();
        g_autofree char *output = NULL;
        _cleanup_close_ int lock = openat(f.root.fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        _cleanup_close_ int loose = fcntl(lock, F_DUPFD, 60);

        g_assert(lock >= 0 && loose >= 0);
        ASSERT_EQ(run_program(&f, lock,
                              "for n in 0 1 2 3 4 5 6 7 8 9 60; do [ ! -e /proc/$$/fd/$n ] || echo $n; done; readlink /proc/$$/fd/3 /proc/$$/fd/0",
                              &output),
                  0);
        g_autofree char *expected = g_strdup_printf("0\n1\n2\n3\n%s/lock\n/dev/null\n", f.root.path);
        ASSERT_STREQ(output, expected);
}

static void test_run_much(void)
{
        _cleanup_fixture_ Fixture f = fixture_new();
        g_autofree char *output = NULL;

        ASSERT_EQ(run_program(&f, -EBADF, "head -c 3000000 /dev/zero | tr '\\0' x; exit 1", &output), 1);
        ASSERT_EQ(strlen(output), VGPU_IO_OUTPUT_MAX);
}

static void test_run_missing(void)
{
        _cleanup_fixture_ Fixture f = fixture_new();
        g_autofree char *output = NULL;
        VgpuIo *io = vgpu_io_sysfs_new(&(VgpuIoSysfsConfig){
                        .sysfs_fd = f.root.fd,
                        .dev_fd = f.dev_fd,
                        .proc_fd = f.proc_fd,
                        .keep_fd = -EBADF,
                        .programs = { [VGPU_PROGRAM_SYSTEMCTL] = "/nonexistent/systemctl" } });
        const char *const none[] = { NULL };

        int missing = vgpu_io_run(io, VGPU_PROGRAM_SYSTEMCTL, none, &output);
        int unset = vgpu_io_run(io, VGPU_PROGRAM_NVML, none, &output);

        vgpu_io_free(io);
        ASSERT_ERROR(missing, ENOENT);
        ASSERT_ERROR(unset, ENOENT);
        ASSERT_NULL(output);
}

typedef struct Slow {
        unsigned calls, ends;
        char *path, *value; /* owned; of the last call */
        int pipe_fd;        /* emptied in each call; -1: none */
} Slow;

static void on_slow(VgpuIo *io, const char *path, const char *value, void *userdata)
{
        char page[VGPU_IO_ATTR_MAX];
        Slow *s = userdata;

        if (!value) {
                s->ends++;
                return;
        }

        s->calls++;
        g_free(s->path);
        g_free(s->value);
        s->path = g_strdup(path);
        s->value = g_strdup(value);
        while (s->pipe_fd >= 0 && read(s->pipe_fd, page, sizeof(page)) > 0)
                ;
}

/* The write blocks in a pipe that is full, until on_slow() empties the pipe. */
static void test_slow_write(void)
{
        _cleanup_fixture_ Fixture f = fixture_new();
        g_autofree char *page = g_strnfill(VGPU_IO_ATTR_MAX, 'y');
        Slow slow = { .pipe_fd = -1 };

        g_assert(mkfifoat(f.root.fd, "a", 0600) == 0);
        _cleanup_close_ int fd = openat(f.root.fd, "a", O_RDWR | O_NONBLOCK | O_CLOEXEC);
        g_assert(fd >= 0);
        slow.pipe_fd = fd;

        vgpu_io_on_slow(f.io, on_slow, &slow);
        while (write(fd, page, VGPU_IO_ATTR_MAX) > 0)
                ;
        ASSERT_OK(vgpu_io_write_guarded(f.io, "a", page));
        ASSERT_TRUE(slow.calls > 0);
        ASSERT_EQ(slow.ends, 1);
        ASSERT_STREQ(slow.path, "a");
        ASSERT_STREQ(slow.value, page);
        g_free(slow.path);
        g_free(slow.value);
}

static void test_slow_program(void)
{
        _cleanup_fixture_ Fixture f = fixture_new();
        VgpuIo *io = io_with_program(&f, -EBADF, "sleep 1; echo done");
        g_autofree char *output = NULL;
        Slow slow = { .pipe_fd = -1 };

        vgpu_io_on_slow(io, on_slow, &slow);
        int r = vgpu_io_run(io, VGPU_PROGRAM_NVML, (const char *const[]){ "query", "0000:41:00.0", NULL },
                            &output);
        vgpu_io_free(io);
        ASSERT_EQ(r, 0);
        ASSERT_STREQ(output, "done\n");
        ASSERT_TRUE(slow.calls > 0);
        ASSERT_EQ(slow.ends, 1);
        ASSERT_NULL(slow.path);
        ASSERT_CONTAINS(slow.value, "query 0000:41:00.0");
        g_free(slow.value);
}

static void test_aliases(void)
{
        _cleanup_fixture_ Fixture f = fixture_new();
        VgpuIo *io = vgpu_io_sysfs_new(&(VgpuIoSysfsConfig){ .sysfs_fd = f.root.fd,
                                                             .dev_fd = f.dev_fd,
                                                             .proc_fd = f.proc_fd,
                                                             .keep_fd = -EBADF,
                                                             .modules_path = f.root.path });
        g_auto(GStrv) lines = NULL, none = NULL;

        ASSERT_EQ(vgpu_io_list_aliases(io, "vfio_pci:", &lines), -ENOENT);
        scratch_file(&f.root, "modules.alias",
                     "# Aliases extracted from modules themselves.\n"
                     "alias pci:v00008086d0000E20Bsv*sd*bc03sc*i* xe\n"
                     "alias vfio_pci:v*d*sv*sd*bc*sc*i* vfio_pci\n"
                     "\nalias vfio_pciX:v* other\n"
                     "alias vfio_pci:v00008086d0000E20Bsv*sd*bc*sc*i* xe_vfio_pci");
        ASSERT_OK(vgpu_io_list_aliases(io, "vfio_pci:", &lines));
        ASSERT_EQ(g_strv_length(lines), 2);
        ASSERT_STREQ(lines[0], "vfio_pci:v*d*sv*sd*bc*sc*i* vfio_pci");
        ASSERT_STREQ(lines[1], "vfio_pci:v00008086d0000E20Bsv*sd*bc*sc*i* xe_vfio_pci");
        ASSERT_OK(vgpu_io_list_aliases(io, "usb:", &none));
        ASSERT_EQ(g_strv_length(none), 0);
        vgpu_io_free(io);
}

int main(int argc, char **argv)
{
        g_assert(argc > 1);
        writer_path = argv[1];
        g_unsetenv("JOURNAL_STREAM"); /* log lines go to stderr */
        tests_begin(argc - 1, argv + 1);
        TEST(test_read);
        TEST(test_read_once);
        TEST(test_folders_change);
        TEST(test_deep);
        TEST(test_binary);
        TEST(test_links_refused);
        TEST(test_read_links);
        TEST(test_list);
        TEST(test_write);
        TEST(test_witness);
        TEST(test_errno);
        TEST(test_writer_many);
        TEST(test_writer_descriptors);
        TEST(test_writer_refuses);
        TEST(test_short_write);
        TEST(test_writer_killed);
        TEST(test_writer_missing);
        TEST(test_debug_lines);
        TEST(test_release_writer);
        TEST(test_hang);
        TEST(test_hang_blocks_only_the_caller);
        TEST(test_nodes);
        TEST(test_find_holder);
        TEST(test_find_holder_real);
        TEST(test_run);
        TEST(test_run_surroundings);
        TEST(test_run_descriptors);
        TEST(test_run_much);
        TEST(test_run_missing);
        TEST(test_slow_write);
        TEST(test_slow_program);
        TEST(test_aliases);

        return tests_end();
}
