/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Explains an operation that does not return from the kernel: names the file, and the process that has the
 * device open. The kernel ends an unbind and the removal of a device only when the last user has closed the
 * device. */

#include "drivers-glue/io/io.h"

/* "the write of 0000:03:00.1 to /sys/bus/pci/drivers/vfio-pci/unbind does not return", newly allocated.
 * *ret_holder: "process 1234 (qemu) has /dev/vfio/12 open", or NULL if none is found. `path` and `value`: from
 * VgpuIoSlow; `gpu`: sysfs name. Called in the lane. Reads only links and folders, which never block. */
char *blocked_explain(VgpuIo *io, const char *gpu, const char *path, const char *value, char **ret_holder);
