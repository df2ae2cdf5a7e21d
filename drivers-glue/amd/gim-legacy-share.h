/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The share of a GPU that a VF of AMD's first driver gim gets: the options of a request, and the sentences by
 * which gim refuses a request. */

#include "drivers-glue/driver.h"

#define GIM_SHARE_TYPE   "mxgpu"
#define GIM_SHARE_MIN_MB 256

/* The share of the GPU to request; either all members are zero (an equal share), or none. */
typedef struct GimShare {
        uint32_t offset_mb, size_mb, divider;
} GimShare;

/* The options of the type (VgpuTypeOption). */
GPtrArray *gim_share_options(void);

/* Read the request; *ret must be zero. Errors: NO_SUCH_TYPE, INVALID. */
int gim_share_read(VgpuTarget *t, const CreateArgs *args, GimShare *ret, VgpudError *reterr);

/* Explain the answer to a request that allocated no VF: NO_CAPACITY, INVALID or FAILED. */
int gim_share_explain_answer(VgpuTarget *t, const GimShare *w, const char *answer, VgpudError *reterr);
