/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The VgpuIo of the real kernel: /sys, /dev, /proc and child processes. */

#include "drivers-glue/io/io.h"

typedef struct VgpuIoSysfsConfig {
        int sysfs_fd;            /* borrowed; a directory fd of /sys */
        int dev_fd;              /* borrowed; a directory fd of /dev */
        int proc_fd;             /* borrowed; a directory fd of /proc */
        int keep_fd;             /* borrowed, or -EBADF: a lock that child processes inherit, so that it is held
                                  * until the last child ends (daemon/work/lane.h) */
        const char *writer_path; /* borrowed; the program vgpud-write */
        const char *modules_path;                /* borrowed; "/lib/modules/6.1.0-42-amd64" */
        const char *definitions_root;            /* borrowed; the folder with etc/ and run/; NULL: / */
        const char *programs[_VGPU_PROGRAM_MAX]; /* borrowed; absolute paths; NULL: not installed */
} VgpuIoSysfsConfig;

VgpuIo *vgpu_io_sysfs_new(const VgpuIoSysfsConfig *config);

/* Release what an idle lane does not need: the idle vgpud-write and the open folders. Does nothing for other
 * implementations of VgpuIo. */
void vgpu_io_sysfs_rest(VgpuIo *io);
