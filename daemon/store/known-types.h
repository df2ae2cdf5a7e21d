/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Types that GPUs of each model have offered, in one key file per model in STATE/types. The file is named after
 * the PCI ids ("10de-26b9-10de-1851"), or after the GPU if the GPU is not on PCI. NVIDIA's lists omit types
 * that have no free capacity at the moment, so vgpud must remember these types. With a new driver, a vendor may
 * also give an old type id to another type: then vgpud warns, because requests by this id change their meaning.
 */

#include "drivers-glue/facts.h"
#include "drivers-glue/snapshot.h"

typedef struct KnownTypes KnownTypes;

/* Opens or creates STATE/types. An error is logged; the types are then kept in memory only. Files are read when
 * a GPU of the model appears; an invalid file is logged and replaced. */
KnownTypes *known_types_new(const char *state_directory);
KnownTypes *known_types_free(KnownTypes *k);

/* Return a new reference to the types known of the GPU's model: an immutable array of VgpuType, never NULL. */
GPtrArray *known_types_get(KnownTypes *k, const GpuFacts *facts);

/* Learn the types of a snapshot, whose keys must be set. In the snapshot, set VgpuType.earlier_name of each
 * type whose id meant another type before. Write new types to the file at once. Log a write error once, and
 * keep the types in memory. */
void known_types_learn(KnownTypes *k, const GpuFacts *facts, GpuSnapshot *snapshot);
