/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Namespaces and the guard; see sandbox.h. */

#include "simhost/sandbox.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static int guard_fd = -1;
static int helper_fd = -1;
static bool dev_is_ours; /* /dev is a copy by now, to which names can be added */
static pid_t helper_pid;

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *position)
{
        (void)remove(path);
        return 0;
}

static void sandbox_unmount(const char *path)
{
        const char *const arguments[] = { "fusermount3", "-u", "-z", "-q", "--", path, NULL };

        if (umount2(path, MNT_DETACH) == 0 || errno != EPERM)
                return;

        /* fusermount3, which mounted the tree, may unmount the tree also without root. */
        (void)g_spawn_sync(NULL, (char **)arguments, NULL,
                           G_SPAWN_SEARCH_PATH | G_SPAWN_STDOUT_TO_DEV_NULL | G_SPAWN_STDERR_TO_DEV_NULL, NULL,
                           NULL, NULL, NULL, NULL, NULL);
}

/* Unmounts all mount points below a directory, the last one first. */
static void unmount_below(const char *directory)
{
        g_autofree char *table = NULL, *prefix = g_strdup_printf("%s/", directory);
        g_auto(GStrv) lines = NULL;

        if (!g_file_get_contents("/proc/self/mountinfo", &table, NULL, NULL))
                return;

        lines = g_strsplit(table, "\n", -1);
        for (guint i = g_strv_length(lines); i > 0; i--) {
                g_auto(GStrv) fields = g_strsplit(lines[i - 1], " ", 6);

                if (g_strv_length(fields) == 6 && g_str_has_prefix(fields[4], prefix))
                        sandbox_unmount(fields[4]);
        }
}

void sandbox_remove_directory(const char *directory)
{
        unmount_below(directory);
        (void)nftw(directory, remove_entry, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

static void sandbox_run_guard(int fd, const char *directory)
{
        int null = open("/dev/null", O_RDWR | O_CLOEXEC);
        char byte;
        ssize_t n;

        /* Leave the terminal's process group, and keep no pipe of the caller open. */
        (void)setsid();

        for (int i = 0; i < 3 && null >= 0; i++)
                (void)dup2(null, i);
        do
                n = read(fd, &byte, 1);
        while (n < 0 && errno == EINTR);

        if (n == 0)
                sandbox_remove_directory(directory);
        _exit(EXIT_SUCCESS);
}

int sandbox_guard(const char *directory)
{
        int pipes[2];
        pid_t pid;

        if (pipe2(pipes, O_CLOEXEC) < 0)
                return -errno;

        pid = fork();
        if (pid < 0)
                return -errno;

        if (pid == 0) {
                /* The host ends all its children, so the guard is a grandchild. */
                pid_t grandchild = fork();

                if (grandchild == 0) {
                        close(pipes[1]);
                        sandbox_run_guard(pipes[0], directory);
                }

                _exit(grandchild > 0 ? EXIT_SUCCESS : EXIT_FAILURE);
        }

        close(pipes[0]);
        guard_fd = pipes[1];
        (void)waitpid(pid, NULL, 0);

        return 0;
}

void sandbox_guard_dismiss(void)
{
        if (guard_fd >= 0 && write(guard_fd, "", 1) < 0)
                perror("simhost: guard");
}

static int write_text(const char *path, const char *text)
{
        int fd = open(path, O_WRONLY | O_CLOEXEC), r = 0;

        if (fd < 0)
                return -errno;

        if (write(fd, text, strlen(text)) < 0)
                r = -errno;
        close(fd);

        return r;
}

static int map_ids(uid_t uid, gid_t gid)
{
        g_autofree char *uids = g_strdup_printf("0 %u 1", uid), *gids = g_strdup_printf("0 %u 1", gid);
        int r = write_text("/proc/self/setgroups", "deny");

        if (r < 0 && r != -ENOENT)
                return r;

        r = write_text("/proc/self/uid_map", uids);

        return r < 0 ? r : write_text("/proc/self/gid_map", gids);
}

static void loopback_up(void)
{
        struct ifreq request = { .ifr_name = "lo", .ifr_flags = IFF_UP };
        int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

        if (fd < 0)
                return;

        (void)ioctl(fd, SIOCSIFFLAGS, &request);
        close(fd);
}

/* The nearest mount point at or above the working directory, and all mounts below, become private. */
static int make_mount_above_private(void)
{
        for (int depth = 0; depth < PATH_MAX / 2; depth++) {
                if (mount(NULL, ".", NULL, MS_REC | MS_PRIVATE, NULL) == 0)
                        return 0;

                if (errno != EINVAL || chdir("..") < 0)
                        return -errno;
        }

        return -ELOOP;
}

/* In a chroot(2), the root may be no mount point. Then the mount point is above the root, and ".." leads there
 * only while the root is another directory: /proc, for a moment. */
static int make_mounts_private(void)
{
        int root = -1, directory = -1, r;

        if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0)
                return 0;

        if (errno != EINVAL)
                return -errno;

        root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
        directory = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (root < 0 || directory < 0 || fchdir(root) < 0 || chroot("proc") < 0)
                r = -errno;
        else {
                r = make_mount_above_private();
                if (fchdir(root) < 0 || chroot(".") < 0 || fchdir(directory) < 0)
                        r = -errno;
        }

        if (root >= 0)
                close(root);
        if (directory >= 0)
                close(directory);

        return r;
}

int sandbox_unshare(void)
{
        uid_t uid = geteuid();
        gid_t gid = getegid();
        int r;

        if (unshare(CLONE_NEWNS | CLONE_NEWNET | (uid == 0 ? 0 : CLONE_NEWUSER)) < 0)
                return -errno;

        if (uid != 0) {
                r = map_ids(uid, gid);
                if (r < 0)
                        return r;
        }

        r = make_mounts_private();
        if (r < 0)
                return r;

        loopback_up();

        return 0;
}

static int bind_entry(const char *from, const char *to, const struct stat *status)
{
        if (S_ISLNK(status->st_mode)) {
                g_autofree char *target = g_file_read_link(from, NULL);

                return target && symlink(target, to) == 0 ? 0 : -errno;
        }

        if (S_ISDIR(status->st_mode)) {
                if (mkdir(to, 0755) < 0)
                        return -errno;
        } else {
                int fd = open(to, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

                if (fd < 0)
                        return -errno;

                close(fd);
        }

        return mount(from, to, NULL, MS_BIND | MS_REC, NULL) < 0 ? -errno : 0;
}

/* Copies a directory to memory, with entries bound to the real ones, so that a name can be added without
 * touching the machine. */
static int mirror_directory(const char *path, const char *scratch)
{
        DIR *directory;
        const struct dirent *entry;
        int r = 0;

        if (mkdir(scratch, 0755) < 0 && errno != EEXIST)
                return -errno;

        if (mount("tmpfs", scratch, "tmpfs", 0, "mode=755") < 0)
                return -errno;

        directory = opendir(path);
        if (!directory)
                return -errno;

        while (r == 0 && (entry = readdir(directory))) {
                g_autofree char *from = g_build_filename(path, entry->d_name, NULL),
                                *to = g_build_filename(scratch, entry->d_name, NULL);
                struct stat status;

                if (g_str_equal(entry->d_name, ".") || g_str_equal(entry->d_name, "..") ||
                    lstat(from, &status) < 0)
                        continue;

                r = bind_entry(from, to, &status);
        }

        closedir(directory);
        if (r == 0 && mount(scratch, path, NULL, MS_MOVE, NULL) < 0)
                r = -errno;

        return r;
}

static int need_directory(const char *parent, const char *name, const char *scratch)
{
        g_autofree char *path = g_build_filename(parent, name, NULL);
        struct stat status;
        int r;

        if (stat(path, &status) == 0)
                return S_ISDIR(status.st_mode) ? 0 : -ENOTDIR;

        r = mirror_directory(parent, scratch);
        if (r == 0 && mkdir(path, 0755) < 0)
                r = -errno;

        return r;
}

/* Plain files stand for device nodes: programs only test whether the node exists. */
static int add_nodes(const char *const *nodes, const char *scratch)
{
        for (; *nodes; nodes++) {
                g_autofree char *path = g_build_filename("/dev", *nodes, NULL);
                int fd, r;

                if (access(path, F_OK) == 0)
                        continue;

                if (!dev_is_ours) {
                        r = mirror_directory("/dev", scratch);
                        if (r < 0)
                                return r;

                        dev_is_ours = true;
                }

                fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
                if (fd < 0)
                        return -errno;

                close(fd);
        }

        return 0;
}

/* Hides the machine's udev. The new /run/udev has a file "control", because libudev does not listen to udevd
 * without it, and an empty database, so that libudev finds no data of the real machine. */
static int hide_udev(const char *scratch)
{
        int fd, r = need_directory("/run", "udev", scratch);

        if (r < 0)
                return r;

        if (mount("tmpfs", "/run/udev", "tmpfs", 0, "mode=755") < 0)
                return -errno;

        fd = open("/run/udev/control", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        if (fd < 0)
                return -errno;

        close(fd);

        return mkdir("/run/udev/data", 0755) < 0 ? -errno : 0;
}

static int bind_directory(const char *directory, const char *name, const char *over)
{
        g_autofree char *path = g_build_filename(directory, name, NULL);

        return mount(path, over, NULL, MS_BIND | MS_REC, NULL) < 0 ? -errno : 0;
}

/* Sets up the command's view, in a new mount namespace. */
static int make_view(const char *directory, const char *const *nodes)
{
        g_autofree char *scratch = g_build_filename(directory, "scratch", NULL),
                        *fs = g_build_filename(directory, "fs", NULL);
        int r;

        if (unshare(CLONE_NEWNS) < 0)
                return -errno;

        dev_is_ours = access("/dev/vfio", F_OK) < 0;
        r = need_directory("/dev", "vfio", scratch);
        if (r == 0)
                r = add_nodes(nodes, scratch);
        if (r == 0)
                r = hide_udev(scratch);
        if (r == 0 && mkdir(fs, 0755) < 0)
                r = -errno;
        if (r < 0)
                return r;

        /* Keep the control groups visible. A failure is ignored, because a command works without them. */
        (void)mount("/sys/fs", fs, NULL, MS_BIND | MS_REC, NULL);
        r = bind_directory(directory, "sys", "/sys");
        if (r == 0)
                r = bind_directory(directory, "vfio", "/dev/vfio");
        (void)mount(fs, "/sys/fs", NULL, MS_MOVE, NULL);

        return r;
}

int sandbox_prepare(const char *directory, const char *const *nodes)
{
        int sockets[2], r;

        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) < 0)
                return -errno;

        helper_pid = fork();
        if (helper_pid < 0)
                return -errno;

        if (helper_pid == 0) {
                close(sockets[0]);
                if (recv(sockets[1], &r, sizeof(r), 0) == sizeof(r)) {
                        r = make_view(directory, nodes);
                        (void)send(sockets[1], &r, sizeof(r), MSG_NOSIGNAL);
                        /* Keep the namespace alive until the host has opened a descriptor. */
                        (void)recv(sockets[1], &r, sizeof(r), 0);
                }

                _exit(EXIT_SUCCESS);
        }

        close(sockets[1]);
        helper_fd = sockets[0];

        return 0;
}

static int open_of_helper(const char *name, int flags)
{
        g_autofree char *path = g_strdup_printf("/proc/%d/%s", helper_pid, name);
        int fd = open(path, flags | O_CLOEXEC);

        return fd < 0 ? -errno : fd;
}

int sandbox_finish(int *ret_mounts_fd, int *ret_root_fd)
{
        int r = 0;

        *ret_mounts_fd = *ret_root_fd = -1;

        if (send(helper_fd, &r, sizeof(r), MSG_NOSIGNAL) < 0 || recv(helper_fd, &r, sizeof(r), 0) != sizeof(r))
                r = -EPIPE;
        if (r == 0)
                r = *ret_mounts_fd = open_of_helper("ns/mnt", O_RDONLY);
        if (r >= 0)
                r = *ret_root_fd = open_of_helper("root", O_PATH | O_DIRECTORY);

        close(helper_fd);
        (void)waitpid(helper_pid, NULL, 0);

        return r < 0 ? r : 0;
}

/* setns(2) changes the root to that of the namespace. If the host runs in a chroot(2), its root is another one,
 * so change to root_fd afterwards. */
int sandbox_enter_mounts(int mounts_fd, int root_fd)
{
        g_autofree char *directory = g_get_current_dir();

        if (setns(mounts_fd, CLONE_NEWNS) < 0 || fchdir(root_fd) < 0 || chroot(".") < 0)
                return -errno;

        return chdir(directory) < 0 ? -errno : 0;
}

/* Returns -1 if the caller is in the namespace already: joining one's own user namespace is an error. */
static int open_namespace(pid_t pid, const char *name)
{
        g_autofree char *theirs = g_strdup_printf("/proc/%d/ns/%s", pid, name),
                        *ours = g_strdup_printf("/proc/self/ns/%s", name);
        struct stat their_status, our_status;

        if (stat(theirs, &their_status) < 0 || stat(ours, &our_status) < 0 ||
            their_status.st_ino == our_status.st_ino)
                return -1;

        return open(theirs, O_RDONLY | O_CLOEXEC);
}

int sandbox_join(pid_t pid, const char *mounts, const char *root)
{
        int user = open_namespace(pid, "user"), net = open_namespace(pid, "net"),
            mounts_fd = open(mounts, O_RDONLY | O_CLOEXEC),
            root_fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC), r = 0;

        if (mounts_fd < 0 || root_fd < 0)
                return -errno;

        if ((user >= 0 && setns(user, CLONE_NEWUSER) < 0) || (net >= 0 && setns(net, CLONE_NEWNET) < 0))
                r = -errno;
        if (r == 0)
                r = sandbox_enter_mounts(mounts_fd, root_fd);

        return r;
}
