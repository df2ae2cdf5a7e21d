/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Which types GPUs of each model were ever seen to offer: one key file per model in STATE/types,
 * "10de-26b9-10de-1851" after its PCI ids, or the name of a GPU that is not on PCI. NVIDIA's lists leave out
 * what cannot be made at the moment, so the names of what is in use are only known from before; and vendors
 * give an id another meaning with another driver, which must not go unnoticed where the id is written into a
 * configuration. */

#include "drivers-glue/facts.h"
#include "drivers-glue/snapshot.h"

typedef struct KnownTypes KnownTypes;

/* Opens (and makes) STATE/types; if that fails, says so and keeps nothing. Files are read when a GPU of their
 * model is asked for; one that cannot be understood is warned about and begun anew. */
KnownTypes *known_types_new(const char *state_directory);
KnownTypes *known_types_free(KnownTypes *k);

/* Ref of an array of VgpuType that nobody changes any more; never NULL. */
GPtrArray *known_types_get(KnownTypes *k, const GpuFacts *facts);

/* Learn from a snapshot whose types have their keys, and give its types the earlier name that their id had.
 * What was learned is written at once; if that fails it is said once and remembered until the daemon ends. */
void known_types_learn(KnownTypes *k, const GpuFacts *facts, GpuSnapshot *snapshot);
