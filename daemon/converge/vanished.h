/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Instances of wanted definitions that have disappeared although vgpud did not remove them. Either their driver
 * removes them, and the parent follows within moments; or another program removed one, and the parent stays.
 * The kernel reports both with the same events, so an instance stays in this list until its parent has gone,
 * too, or until VANISHED_USEC have passed.
 *
 * Main thread only. */

#include <stdbool.h>

#include "base/time-util.h"
#include "daemon/forward.h"

#define VANISHED_USEC (5 * USEC_PER_SEC)

typedef struct Vanished Vanished;

Vanished *vanished_new(Model *m);
Vanished *vanished_free(Vanished *v);

/* The instance leaves the model. It is not added if its parent has gone already. After VANISHED_USEC its
 * definition is not wanted any more. */
void vanished_add(Vanished *v, const Instance *instance);
/* The instance is back. */
void vanished_remove(Vanished *v, const char *uuid);
bool vanished_contains(const Vanished *v, const char *uuid);

/* Drop the instances whose parent went with a change of this GPU, or with the GPU: they may be created again.
 */
void vanished_note_gpu(Vanished *v, const Gpu *gpu);
void vanished_note_gpu_removed(Vanished *v, const Gpu *gpu);
