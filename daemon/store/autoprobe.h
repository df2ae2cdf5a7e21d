/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Marks in RUNTIME/autoprobe/GPU. While a job changes the number of VFs, sriov_drivers_autoprobe of the PF is
 * 0, so that no host driver binds a new VF. The mark says that the attribute was 1 before. As long as the mark
 * exists, also after a crash, each scan tries to write 1 to the attribute. Only the lane of the GPU sets or
 * removes the mark. */

#include <stdbool.h>

void autoprobe_mark(int runtime_fd, const char *gpu);
void autoprobe_unmark(int runtime_fd, const char *gpu);
bool autoprobe_is_marked(int runtime_fd, const char *gpu);
