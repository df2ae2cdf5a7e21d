/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Quotas of VFs, read and written by the table of the provider. */

#include "drivers-glue/sriov/provider.h"

/* Whether quotas can be set on this GPU; then the options for a type (VgpuTypeOption), else NULL. */
GPtrArray *vf_quota_options(VgpuTarget *t, const VfProvider *p);
/* The quotas of a function as they are now (VgpuAttribute), those that can be read; where the parts of the GPU
 * do not agree on one, that is said in place of its value. NULL: none. */
GPtrArray *vf_quota_read_all(VgpuTarget *t, const VfProvider *p, uint32_t vf_index);
/* Its graphics memory; 0 when the driver does not tell. */
uint64_t vf_quota_read_framebuffer(VgpuTarget *t, const VfProvider *p, uint32_t vf_index);
/* Refuse names and values that cannot be right before anything is touched: INVALID. */
int vf_quota_check(VgpuTarget *t, const VfProvider *p, const GPtrArray *attributes, VgpudError *reterr);
/* Write these and read them back. Rounded up by less than VfQuota.step is fine; anything else that is not what
 * was asked for is FAILED. */
int vf_quota_write(VgpuTarget *t, const VfProvider *p, const VgpuVf *vf, const GPtrArray *attributes,
                   VgpudError *reterr);
/* What vf_quota_write() would change, as it is now, ready to be written again; elements as above, named
 * "gt1/contexts_quota" where parts of the GPU have values of their own. */
GPtrArray *vf_quota_save(VgpuTarget *t, const VfProvider *p, uint32_t vf_index, const GPtrArray *attributes);
/* Whether the function has these already, as the GPU may have rounded them up. */
bool vf_quota_has(VgpuTarget *t, const VfProvider *p, uint32_t vf_index, const GPtrArray *attributes);
