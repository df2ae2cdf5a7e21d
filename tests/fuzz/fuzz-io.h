/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A kernel whose files are those of the input, one line each, up to a zero byte:
 *
 *     KIND PATH=TEXT
 *
 * KIND is "r" for an attribute, "d" for the names in a folder, separated by blanks, "l" for a symbolic link,
 * "w" for the errno of a write, "a" for the lines of modules.alias, "s" for the exit status and the output of
 * systemctl, "n" for those of vgpud-nvml. In a text "\n" stands for a line break. "@" is FUZZ_GPU in a path.
 * "!N" in place of a text is the errno N. A write changes the attribute. */

#include "drivers-glue/io/io.h"
#include "fuzz.h"

#define FUZZ_GPU      "devices/pci0000:00/0000:00:01.0/0000:03:00.0"
#define FUZZ_GPU_NAME "0000:03:00.0"

VgpuIo *fuzz_io_new(FuzzInput *in);
