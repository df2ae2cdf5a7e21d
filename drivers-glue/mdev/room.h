/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* How many mediated devices a GPU has room for, and why no more, in words. Drivers tell a number per parent and
 * type; what limits it they do not say, but what takes the room can be seen. */

#include "drivers-glue/driver.h"

/* Only NVIDIA's driver registers types on virtual functions, each of which takes one instance. */
bool mdev_parents_are_vfs(const GpuFacts *facts);

/* At the end of a scan, when `available` is the sum over all parents and all instances are there: what the GPU
 * has room for in truth, its modes, and why_not of the types that cannot be made. */
void mdev_room_find(VgpuTarget *t, GpuSnapshot *s);

/* VgpuDriver.predict: the same without looking, where it follows from what is there: on virtual functions,
 * while all instances have one framebuffer size. */
bool mdev_room_amend(const GpuFacts *facts, const GpuSnapshot *before, GpuSnapshot *s);

/* Why there is no room for another instance of that type (on that parent; NULL: on any), and what is still
 * possible: a sentence about the GPU, owned by the caller. */
char *mdev_room_refuse(const GpuFacts *facts, const GpuSnapshot *s, const char *type_id, const char *parent);
