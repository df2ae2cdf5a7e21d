/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Private to the back end "sriov": the features that a driver of the host adds to plain VFs, namely quotas of
 * each VF and modes of the whole GPU. sriov.c has the list of providers; the first whose match() is true serves
 * the GPU. Every member but name and match may be NULL. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "drivers-glue/driver.h"
#include "drivers-glue/explain.h"
#include "drivers-glue/vf/count.h"

typedef enum VfQuotaUnit {
        VF_QUOTA_NUMBER,
        VF_QUOTA_BYTES,    /* K, M, G allowed */
        VF_QUOTA_PRIORITY, /* low, normal, high; the file lists all three, with the current one in brackets */
} VfQuotaUnit;

typedef struct VfQuota {
        const char *name; /* sysfs attribute and option */
        VfQuotaUnit unit;
        uint64_t max;     /* limit of a number */
        uint64_t step;    /* the driver rounds up by less than this; 0: no rounding */
        bool framebuffer; /* the quota is the graphics memory of the VF */
        const char *help; /* VgpuTypeOption.help */
} VfQuota;

typedef struct VfProvider {
        const char *name; /* only for readers of the code and for tests */
        bool (*match)(const GpuFacts *facts);
        const VfMethod *method; /* passed to vfs_set() */

        const VfQuota *quotas;
        size_t n_quotas;
        /* List the folders with the quotas of a VF, one per part of the GPU (tile, GT), the main part first.
         * -ENOENT: none. */
        int (*list_folders)(VgpuTarget *t, uint32_t vf_index, char ***ret);
        /* True if the write of a quota for a part of the GPU, other than the main part, fails with this errno
         * because the part does not have the quota. */
        bool (*is_elsewhere)(int r);
        /* Called before quotas are written, to note side effects of the write that must be undone later. */
        void (*before_write)(VgpuTarget *t);
        /* Called after quotas are written and after every scan, to drop notes of side effects that did not
         * happen. */
        void (*after_write)(VgpuTarget *t);
        /* Reasons for a refused write of a quota, besides those of all drivers. */
        const Refusal *refusals;

        /* Add the modes of the GPU and their effect on the types at the end of scan(). */
        int (*add_modes)(VgpuTarget *t, GpuSnapshot *snapshot, VgpudError *reterr);
        /* VgpuDriver.configure */
        int (*configure)(VgpuTarget *t, const char *mode, const char *value, VgpudError *reterr);
} VfProvider;
