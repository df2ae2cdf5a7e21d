/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Destroys the instances of all targets in Targets.sent with one call, so that one job removes all instances of
 * a GPU. If the daemon refuses that call because of one instance, each instance gets a call of its
 * own, so that vgpuctl destroys every instance that can be destroyed. */

#include "cli/verbs/targets.h"

/* `defined`: the instances must have definitions, which stay; else they must have none. Returns 0 even if some
 * targets failed, or the exit status after printing an error. */
int destroy_targets(Targets *ts, bool defined);
