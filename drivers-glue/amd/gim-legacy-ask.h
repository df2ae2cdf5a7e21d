/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The files "getvf" and "relvf" of AMD's first driver gim: a request is written, and the same file then holds
 * the answer, a sentence. */

#include "drivers-glue/driver.h"

/* Write `value` to the file and read the answer. The answer stays until the next write, so a failed read is
 * tried again. After EPROTO (the writer died) *ret may be set as well: it answers this request or an earlier
 * one. *ret_asked says whether gim may have got the request; may be NULL. */
int gim_legacy_ask(VgpuTarget *t, const char *file, const char *value, char **ret, bool *ret_asked);
/* Explain a failed request. */
int gim_legacy_explain_errno(VgpuTarget *t, const char *file, int r, VgpudError *reterr);

/* Give a VF back to gim; a VF that gim does not have as taken is no error. */
int gim_legacy_release(VgpuTarget *t, const VgpuVf *vf, VgpudError *reterr);
