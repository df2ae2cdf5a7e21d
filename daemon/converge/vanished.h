/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Instances of wanted definitions that have disappeared although vgpud did not remove them. Either a driver
 * removes its instances and then gives up the parent; or another program removes an instance, and the parent
 * stays. The kernel reports the removal with the same events in both cases, and an event of the parent follows
 * only in the first case. So an instance stays in this list until its parent moves (ModelEvents.device_moved),
 * or until VANISHED_USEC have passed. The parent may be back by then: a driver can be loaded again within
 * milliseconds.
 *
 * Main thread only. */

#include <stdbool.h>

#include "base/time-util.h"
#include "daemon/forward.h"

#define VANISHED_USEC (5 * USEC_PER_SEC)

typedef struct Vanished Vanished;

Vanished *vanished_new(Model *m);
Vanished *vanished_free(Vanished *v);

/* The instance leaves the model, into which it came at `since_usec` (CLOCK_MONOTONIC). An instance whose parent
 * has gone, or has moved since then, is not added. After VANISHED_USEC the definition is not wanted any more.
 */
void vanished_add(Vanished *v, const Instance *instance, uint64_t since_usec);
/* The instance is back. */
void vanished_remove(Vanished *v, const char *uuid);
bool vanished_contains(const Vanished *v, const char *uuid);

/* The device at the path has moved (NULL: any device may have moved): drop the instances at or below the path,
 * and wish a look at the definitions, because the instances may be created again. */
void vanished_note_moved(Vanished *v, const char *path);
/* The same for instances without a parent after a change of this GPU, or after the removal of the GPU. */
void vanished_note_gpu(Vanished *v, const Gpu *gpu);
void vanished_note_gpu_removed(Vanished *v, const Gpu *gpu);
