/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The only way to the kernel for back ends. All paths are relative to /sys
 * ("devices/pci0000:00/0000:00:02.0/class") and built from validated parts. -EINVAL: the path is absolute, has
 * an empty, "." or ".." component, or is longer than VGPU_IO_PATH_MAX. -ELOOP: a component is a symbolic link;
 * use vgpu_io_resolve_link() first.
 *
 * Every function may block and is called in a lane, never in the main thread. Results are 0 or a negative
 * errno: -ENOENT from a read means no such attribute, -ENODEV a device that is going away. Each lane has a
 * VgpuIo of its own, which is not shared between threads.
 *
 * io-sysfs.c uses the real kernel; tests/unit/io-fake.c is a kernel in memory. */

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"
#include "drivers-glue/io/definitions.h"

#define VGPU_IO_PATH_MAX 1024
#define VGPU_IO_ATTR_MAX 4096 /* one page: no sysfs text attribute is larger (Linux fs/sysfs/file.c) */

typedef struct VgpuIo VgpuIo;

/* Programs that a back end may run. */
typedef enum VgpuProgram {
        VGPU_PROGRAM_SYSTEMCTL, /* runs units, which work outside the sandbox of vgpud and outlive vgpud */
        VGPU_PROGRAM_NVML,      /* vgpud-nvml: asks NVIDIA's library; protocol in vgpud-nvml.c */
        _VGPU_PROGRAM_MAX,
} VgpuProgram;

/* Proof of a guarded write that creates a device, for the daemon that starts after a crash. */
typedef struct VgpuWitness {
        const char *device; /* path of the device that the write creates, with at least one "/" */
        int fd;             /* borrowed; the record, open for appending */
} VgpuWitness;

/* The line that is appended to the record. %llu: inode of the device, see vgpu_io_identify(). */
#define VGPU_WITNESS_FORMAT "Identity=%llu\n"

typedef struct VgpuIoOps {
        int (*read)(VgpuIo *io, const char *path, char **ret);
        int (*write)(VgpuIo *io, const char *path, const char *value);
        int (*write_guarded)(VgpuIo *io, const char *path, const char *value, const VgpuWitness *witness);
        int (*list)(VgpuIo *io, const char *path, char ***ret);
        int (*read_link)(VgpuIo *io, const char *path, char **ret);
        int (*identify)(VgpuIo *io, const char *path, uint64_t *ret);
        int (*open_group)(VgpuIo *io, unsigned group);
        int (*node_exists)(VgpuIo *io, const char *path);
        int (*find_holder)(VgpuIo *io, const char *path, int *ret_pid, char **ret_command);
        int (*list_held)(VgpuIo *io, const char *folder, GHashTable **ret);
        int (*list_aliases)(VgpuIo *io, const char *prefix, char ***ret);
        int (*read_definitions)(VgpuIo *io, VgpuDefinitions **ret);
        int (*run)(VgpuIo *io, VgpuProgram program, const char *const *arguments, char **ret_output);
        void (*pause)(VgpuIo *io, uint64_t usec);
        void (*free)(VgpuIo *io);
} VgpuIoOps;

/* Called in the lane while a guarded write or a program has not ended: after 0.25 s, and again in growing
 * steps. The callback is allowed to use the io. `path` is the attribute, `value` the text written; for a
 * program `path` is NULL and `value` the command. Both NULL: the operation has ended. */
typedef void (*VgpuIoSlow)(VgpuIo *io, const char *path, const char *value, void *userdata);

struct VgpuIo {
        const VgpuIoOps *ops;
        VgpuIoSlow slow; /* NULL: no call */
        void *slow_userdata;
};

void vgpu_io_on_slow(VgpuIo *io, VgpuIoSlow slow, void *userdata);

/* The whole text of an attribute. If the text ends in a newline, this newline is dropped. */
int vgpu_io_read(VgpuIo *io, const char *path, char **ret);

/* One write(2) of the whole value in the calling thread, for attributes that cannot block for long. */
int vgpu_io_write(VgpuIo *io, const char *path, const char *value);

/* vgpu_io_write() in a child process that outlives the daemon, for writes that may never return (create,
 * remove, numvfs, bind, unbind, reset). Blocks until the kernel answers: only the main thread watches the
 * deadline of the job. */
int vgpu_io_write_guarded(VgpuIo *io, const char *path, const char *value);

/* vgpu_io_write_guarded() for the write that creates witness->device. After a successful write(2) the child
 * appends VGPU_WITNESS_FORMAT to witness->fd before it answers, also if the daemon was killed meanwhile. No
 * line is appended if the write fails, if the child is killed in between, or if the folder of the device or the
 * record cannot be used. `witness` NULL: no proof. */
int vgpu_io_write_witnessed(VgpuIo *io, const char *path, const char *value, const VgpuWitness *witness);

/* Names in a directory, without "." and "..", sorted. */
int vgpu_io_list(VgpuIo *io, const char *path, char ***ret);

/* Read a symbolic link: the whole text, the last component of the text, or the target as a path below /sys. */
int vgpu_io_read_link(VgpuIo *io, const char *path, char **ret);
int vgpu_io_read_link_name(VgpuIo *io, const char *path, char **ret);
int vgpu_io_resolve_link(VgpuIo *io, const char *path, char **ret);

/* The inode at this path, never 0. A device that was removed and recreated has another inode: sysfs reuses none
 * while the host runs (Linux fs/kernfs/dir.c, __kernfs_new_node()). */
int vgpu_io_identify(VgpuIo *io, const char *path, uint64_t *ret);

/* Open /dev/vfio/GROUP read-only and close-on-exec. The file descriptor locks all other users out until it is
 * closed. -EBUSY: a process has the group or one of its devices open; -ENOENT: no such node. */
int vgpu_io_open_group(VgpuIo *io, unsigned group);

/* 1 if the node ("vfio/devices/vfio3") exists below /dev, 0 if not. */
int vgpu_io_node_exists(VgpuIo *io, const char *path);

/* Search /proc for a process that has the node ("vfio/12") below /dev open. 1: found, *ret_pid and *ret_command
 * (its comm) are set; 0: no process; -EACCES: none found, but some processes could not be checked. */
int vgpu_io_find_holder(VgpuIo *io, const char *path, int *ret_pid, char **ret_command);

/* The open nodes in a folder of /dev ("vfio"), as a set of paths below the folder ("12", "devices/vfio3"): one
 * search of /proc for all nodes. -EACCES: some processes could not be checked, and *ret has the nodes of the
 * others. */
int vgpu_io_list_held(VgpuIo *io, const char *folder, GHashTable **ret);

/* The PCI functions in definitions of mdevctl and libvirt. */
int vgpu_io_read_definitions(VgpuIo *io, VgpuDefinitions **ret);

/* The aliases in modules.alias of the running kernel that begin with the prefix ("vfio_pci:"), as "PATTERN
 * MODULE". Drivers that are built into the kernel are not listed. */
int vgpu_io_list_aliases(VgpuIo *io, const char *prefix, char ***ret);

/* Run the program with these arguments (NULL-terminated, without its own name) and wait until it ends. Returns
 * its exit status (0..255; 128 + N after signal N), or -ENOENT if it is not installed. *ret_output is its
 * standard output, at most 1 MiB; its standard error goes to the journal. Like the guarded writer, the program
 * outlives the daemon and keeps the lane locked. */
#define VGPU_IO_OUTPUT_MAX (1024 * 1024)
int vgpu_io_run(VgpuIo *io, VgpuProgram program, const char *const *arguments, char **ret_output);

/* Wait before a retry, where no event says that the device is ready. At most 10 s. */
void vgpu_io_pause(VgpuIo *io, uint64_t usec);

/* True for the errors of a path that does not exist or is going away. */
static inline bool vgpu_io_is_gone(int r)
{
        return r == -ENOENT || r == -ENODEV;
}

/* True if the folder exists, even if it cannot be read. */
bool vgpu_io_exists(VgpuIo *io, const char *path);

/* vgpu_io_read() of a formatted path; -EINVAL if the path gets too long. */
int vgpu_io_readf(VgpuIo *io, char **ret, const char *format, ...) _printf_(3, 4);

/* The decimal number in an attribute; -EBADMSG if the text is not a number, or the number is too large. */
int vgpu_io_read_u32f(VgpuIo *io, uint32_t *ret, const char *format, ...) _printf_(3, 4);

/* True for a path that follows the rules at the top. */
bool vgpu_io_path_is_valid(const char *path);
/* True for a valid component of a path: 1..255 bytes of UTF-8, no "/", not "." or "..", no control
 * characters. */
bool vgpu_io_name_is_valid(const char *name);

VgpuIo *vgpu_io_free(VgpuIo *io);
static inline void vgpu_io_freep(VgpuIo **io)
{
        *io = vgpu_io_free(*io);
}
