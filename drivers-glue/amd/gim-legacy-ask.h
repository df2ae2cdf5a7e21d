/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Requests to AMD's first driver gim through its files "getvf" and "relvf": a request is written, and the same
 * file then contains the answer, a sentence. The functions block; call them in the lane of the GPU. */

#include "drivers-glue/driver.h"

/* Write `value` to the file and read the answer. gim keeps the answer until the next write, so a failed read is
 * retried. After EPROTO (the writer died) *ret may be set as well: the answer may be to this request or to an
 * earlier one. *ret_asked (may be NULL) says whether gim may have received the request. */
int gim_legacy_ask(VgpuTarget *t, const char *file, const char *value, char **ret, bool *ret_asked);
/* Explain a request that failed with the negative errno r. */
int gim_legacy_explain_errno(VgpuTarget *t, const char *file, int r, VgpudError *reterr);

/* Release a VF; a VF that gim does not count as allocated is no error. */
int gim_legacy_release(VgpuTarget *t, const VgpuVf *vf, VgpudError *reterr);
