/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Quotas of VFs, read and written as the table of the provider says. The functions block; call them in the lane
 * of the GPU. */

#include "drivers-glue/sriov/provider.h"

/* The quotas of the GPU as options of a type (VgpuTypeOption); NULL if this GPU has no quotas. */
GPtrArray *vf_quota_options(VgpuTarget *t, const VfProvider *p);

/* The current quotas of a VF (VgpuAttribute), as far as they can be read; a text in place of a value says that
 * the parts of the GPU differ. NULL: none. */
GPtrArray *vf_quota_read_all(VgpuTarget *t, const VfProvider *p, uint32_t vf_index);

/* The graphics memory in quotas as vf_quota_read_all() returns them, in bytes; 0: unknown. */
uint64_t vf_quota_find_framebuffer(const VfProvider *p, const GPtrArray *values);

/* The graphics memory of a VF in bytes; 0: unknown. */
uint64_t vf_quota_read_framebuffer(VgpuTarget *t, const VfProvider *p, uint32_t vf_index);

/* Refuse invalid names and values before the first write: INVALID. */
int vf_quota_check(VgpuTarget *t, const VfProvider *p, const GPtrArray *attributes, VgpudError *reterr);

/* Write quotas and read them back. The driver may round up by less than VfQuota.step; for any other difference
 * the error is FAILED. */
int vf_quota_write(VgpuTarget *t, const VfProvider *p, const VgpuVf *vf, const GPtrArray *attributes,
                   VgpudError *reterr);

/* The current values of the quotas that vf_quota_write() would change, to be restored later (VgpuAttribute). A
 * name is "gt1/contexts_quota" if the parts of the GPU differ. */
GPtrArray *vf_quota_save(VgpuTarget *t, const VfProvider *p, uint32_t vf_index, const GPtrArray *attributes);

/* True if the VF has these quotas already, perhaps rounded up by the driver. */
bool vf_quota_has(VgpuTarget *t, const VfProvider *p, uint32_t vf_index, const GPtrArray *attributes);
