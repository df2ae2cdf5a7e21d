/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The only way to the kernel for back ends. All paths are relative to /sys
 * ("devices/pci0000:00/0000:00:02.0/class"), built from validated parts; a path that is absolute, has an empty,
 * "." or ".." component or is longer than VGPU_IO_PATH_MAX is refused with -EINVAL, and no component may be a
 * symbolic link (-ELOOP): use vgpu_io_resolve_link() and go on from what it names.
 *
 * Every function may block and is called in a lane, never in the main thread. Results are 0 or a negative
 * errno: -ENOENT from a read means no such attribute, -ENODEV a device that is going away. There is one VgpuIo
 * per lane; it is not shared between threads.
 *
 * io-sysfs.c is the real one; tests/unit/io-fake.c an in-memory kernel. */

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"

#define VGPU_IO_PATH_MAX 1024
#define VGPU_IO_ATTR_MAX 4096 /* one page: no sysfs text attribute is larger (Linux fs/sysfs/file.c) */

typedef struct VgpuIo VgpuIo;

/* Programs that a back end may have run. */
typedef enum VgpuProgram {
        VGPU_PROGRAM_SYSTEMCTL, /* "start UNIT": what must not happen in our sandbox or end with us */
        VGPU_PROGRAM_NVML,      /* vgpud-nvml: what only NVIDIA's library knows; protocol in vgpud-nvml.c */
        _VGPU_PROGRAM_MAX,
} VgpuProgram;

typedef struct VgpuIoOps {
        int (*read)(VgpuIo *io, const char *path, char **ret);
        int (*write)(VgpuIo *io, const char *path, const char *value);
        int (*write_guarded)(VgpuIo *io, const char *path, const char *value);
        int (*list)(VgpuIo *io, const char *path, char ***ret);
        int (*read_link)(VgpuIo *io, const char *path, char **ret);
        int (*identify)(VgpuIo *io, const char *path, uint64_t *ret);
        int (*open_group)(VgpuIo *io, unsigned group);
        int (*node_exists)(VgpuIo *io, const char *path);
        int (*find_holder)(VgpuIo *io, const char *path, int *ret_pid, char **ret_command);
        int (*list_aliases)(VgpuIo *io, const char *prefix, char ***ret);
        int (*run)(VgpuIo *io, VgpuProgram program, const char *const *arguments, char **ret_output);
        void (*pause)(VgpuIo *io, uint64_t usec);
        void (*free)(VgpuIo *io);
} VgpuIoOps;

struct VgpuIo {
        const VgpuIoOps *ops;
};

/* The whole text of an attribute, less one newline at its end. */
int vgpu_io_read(VgpuIo *io, const char *path, char **ret);

/* One write(2) of the whole value, as it is, in the calling thread. For attributes that cannot block for long.
 */
int vgpu_io_write(VgpuIo *io, const char *path, const char *value);

/* The same in a child process that outlives us, for writes that may never return (create, remove, numvfs, bind,
 * unbind, reset). Blocks until the kernel answers; whoever waits for the lane has the deadline. */
int vgpu_io_write_guarded(VgpuIo *io, const char *path, const char *value);

/* Names in a directory, without "." and "..", sorted. Never followed by reading whatever is there. */
int vgpu_io_list(VgpuIo *io, const char *path, char ***ret);

/* The text of a symbolic link, its last component, and the path (relative to /sys) it leads to. */
int vgpu_io_read_link(VgpuIo *io, const char *path, char **ret);
int vgpu_io_read_link_name(VgpuIo *io, const char *path, char **ret);
int vgpu_io_resolve_link(VgpuIo *io, const char *path, char **ret);

/* The number of what is at this path, never 0, and another one when it has been removed and made again: its
 * inode, which sysfs does not give twice while the host runs (Linux fs/kernfs/dir.c, __kernfs_new_node()). */
int vgpu_io_identify(VgpuIo *io, const char *path, uint64_t *ret);

/* Open /dev/vfio/GROUP read-only and close-on-exec: a file descriptor, which keeps everybody else out until it
 * is closed; -EBUSY when somebody holds the group or a device of it, -ENOENT when there is no such node. */
int vgpu_io_open_group(VgpuIo *io, unsigned group);

/* 1 when the node ("vfio/devices/vfio3") exists below /dev, 0 when not. */
int vgpu_io_node_exists(VgpuIo *io, const char *path);

/* Look through /proc for a process that has the node ("vfio/12") below /dev open. 1: found, *ret_pid and
 * *ret_command (its comm) are set; 0: nobody has; -EACCES: nobody seen, but not every process could be looked
 * at. */
int vgpu_io_find_holder(VgpuIo *io, const char *path, int *ret_pid, char **ret_command);

/* The aliases of the running kernel's modules that begin with the prefix ("vfio_pci:"), as "PATTERN MODULE": of
 * the file modules.alias, which depmod makes. Those of what is built into the kernel are not there. */
int vgpu_io_list_aliases(VgpuIo *io, const char *prefix, char ***ret);

/* Run the program with these arguments (NULL-terminated, without its own name) and wait until it ends. Its exit
 * status (0..255; 128 + N after signal N), and what it wrote to its standard output, at most 1 MiB of it; what
 * it writes to standard error goes to the journal. -ENOENT when it is not installed. Like the writing child it
 * outlives us and keeps the lane locked. */
#define VGPU_IO_OUTPUT_MAX (1024 * 1024)
int vgpu_io_run(VgpuIo *io, VgpuProgram program, const char *const *arguments, char **ret_output);

/* Wait before the next try of something that tells nobody when it is ready. At most 10 s. */
void vgpu_io_pause(VgpuIo *io, uint64_t usec);

/* True for the answer of something that is not there, or is going away. */
static inline bool vgpu_io_is_gone(int r)
{
        return r == -ENOENT || r == -ENODEV;
}

/* False when the folder has gone; true also when it cannot be looked into. */
bool vgpu_io_exists(VgpuIo *io, const char *path);

/* Convenience: a path made of parts, then the function of the same name; -EINVAL when it gets too long. */
int vgpu_io_readf(VgpuIo *io, char **ret, const char *format, ...) _printf_(3, 4);

/* True for a path that fits the rules above. */
bool vgpu_io_path_is_valid(const char *path);
/* True for a name that may be one component of such a path: 1..255 bytes of UTF-8, no "/", not "." or "..", no
 * control characters. */
bool vgpu_io_name_is_valid(const char *name);

VgpuIo *vgpu_io_free(VgpuIo *io);
static inline void vgpu_io_freep(VgpuIo **io)
{
        *io = vgpu_io_free(*io);
}
