/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Applies a snapshot of a GPU to the model: the one writer of snapshots and instances. Announcements of
 * instances, types, modes and VFs come from the difference of two snapshots. */

#include <stdbool.h>

#include "base/error.h"
#include "daemon/forward.h"
#include "drivers-glue/facts.h"
#include "drivers-glue/snapshot.h"

/* Apply the snapshot and take a ref to it. First complete the snapshot: add UUIDs of instances for which the
 * kernel keeps none, keys of types and the rules of vgpud.conf. So no other thread may use the snapshot. */
void apply_snapshot(Gpu *gpu, GpuSnapshot *snapshot);

/* Apply the failure of a scan to the state of the GPU. */
void apply_scan_failure(Gpu *gpu, const VgpudError *error);

/* Remove and announce the instance; forget its record unless keep_record. */
void apply_remove_instance(Instance *instance, bool keep_record);

/* Log that vgpud leaves a device alone although the record of an interrupted create has its UUID. */
void apply_log_unproven(const Gpu *gpu, const char *uuid);

/* Let the next snapshot retry failed removals without a pause. For explicit rescans. */
void apply_retry_undos(Gpu *gpu);

/* True if the facts contain the parent of the instance: a mediated device parent, a VF, or the GPU. Also true
 * if the parent is unknown. */
bool apply_has_place(const GpuFacts *facts, const InstanceDesc *desc);
