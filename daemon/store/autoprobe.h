/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* While virtual functions are enabled, sriov_drivers_autoprobe of their GPU is 0, so that no driver of the host
 * takes them. A daemon that is killed in between would leave it so, and so does a kernel that does not take the
 * 1 again: a mark, RUNTIME/autoprobe/GPU, says that it was 1 and is to be 1 again. Scans of the GPU write that
 * until it is taken. The mark is set and removed in the GPU's lane, by whoever writes the attribute. */

#include <stdbool.h>

void autoprobe_mark(int runtime_fd, const char *gpu);
void autoprobe_unmark(int runtime_fd, const char *gpu);
bool autoprobe_is_marked(int runtime_fd, const char *gpu);
