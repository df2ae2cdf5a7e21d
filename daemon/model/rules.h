/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The rules of vgpud.conf for a GPU: allowed types, pools, spare and priority. */

#include "base/error.h"
#include "daemon/store/config.h"
#include "daemon/forward.h"
#include "drivers-glue/snapshot.h"
#include "policy/placement.h"

/* Fill in the rules for the candidate's GPU: pools, allow, forbid, spare, priority. Lists are borrowed from the
 * configuration. */
void rules_fill(const Config *config, PlacementCandidate *candidate);

/* True if the candidate has rules about type names. */
bool rules_need_type_names(const PlacementCandidate *candidate);
/* Returns a new list of the id, all aliases and the key of the type. A pattern of a rule may match any of
 * them. */
char **rules_type_names(const VgpuType *type);

/* Check that the rules allow the type on the GPU. Error: UNSUPPORTED. */
int rules_check_type(const Gpu *gpu, const VgpuType *type, VgpudError *reterr);

/* True if vgpud may hand out VFs of the GPU that another program bound (drivers-glue/vf/bound.h). */
bool rules_take_bound(const Gpu *gpu);

/* Set available to 0, with the reason, for types that the rules forbid. */
void rules_apply(const Gpu *gpu, GpuSnapshot *snapshot);

/* The sections [gpu …] that match no GPU, so that their rules have no effect: an array of char *, each with
 * file and line. Empty before the first discovery has ended. */
GPtrArray *rules_find_unmatched(Model *m);
/* Log a warning for each section that matches no GPU. */
void rules_log_unmatched(Model *m);
