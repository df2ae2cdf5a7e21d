/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The room of a GPU for mediated devices, and why no more fit. Drivers report a number per parent and type,
 * but no reason; the reason is derived from the instances that exist. */

#include "drivers-glue/driver.h"

/* True if the parents are virtual functions, each of which takes one instance. Only NVIDIA's driver registers
 * types on virtual functions. */
bool mdev_parents_are_vfs(const GpuFacts *facts);

/* Called at the end of a scan, when `available` is the sum over all parents. Correct `available` to the room of
 * the GPU, and add modes, `why_not` and `hint`. */
void mdev_room_find(VgpuTarget *t, GpuSnapshot *s);

/* VgpuDriver.predict: mdev_room_find() without reads. False if the parents are no VFs, if the framebuffer sizes
 * differ or one is unknown, or if a problem or a mode makes the result uncertain. */
bool mdev_room_predict(const GpuFacts *facts, const GpuSnapshot *before, GpuSnapshot *s);

/* Set the error NO_CAPACITY. The message says why there is no room for another instance of the type (on this
 * parent; NULL: on any parent), and the hint lists the types that still have room. `r`: negative errno of
 * the kernel, 0 if no write failed. */
int mdev_room_refuse(const GpuFacts *facts, const GpuSnapshot *s, const char *type_id, const char *parent,
                     int r, VgpudError *reterr);
