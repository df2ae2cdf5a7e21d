/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Private to the back end "sriov": what a driver of the host adds to plain virtual functions. Quotas that can
 * be set for each, and modes of the whole GPU. sriov.c has the list of providers; the first whose match() says
 * yes has the GPU. Every slot but name and match may be NULL. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "drivers-glue/driver.h"
#include "drivers-glue/explain.h"
#include "drivers-glue/vf/count.h"

typedef enum VfQuotaUnit {
        VF_QUOTA_NUMBER,
        VF_QUOTA_BYTES,    /* K, M, G allowed */
        VF_QUOTA_PRIORITY, /* low, normal, high; reads as a list with the one in force in brackets */
} VfQuotaUnit;

typedef struct VfQuota {
        const char *name; /* of the attribute in sysfs and of the option */
        VfQuotaUnit unit;
        uint64_t max;     /* of a number */
        uint64_t step;    /* rounded up by the driver, by less than this; 0: taken as it is */
        bool framebuffer; /* it is the function's graphics memory */
        const char *help; /* VgpuTypeOption.help */
} VfQuota;

typedef struct VfProvider {
        const char *name; /* for comments and tests */
        bool (*match)(const GpuFacts *facts);
        const VfMethod *method; /* for vfs_set() */

        const VfQuota *quotas;
        size_t n_quotas;
        /* The folders that hold the quotas of a function, one per part of the GPU that has its own (tile, GT),
         * the main one first; -ENOENT when it has none. */
        int (*list_folders)(VgpuTarget *t, uint32_t vf_index, char ***ret);
        /* True for an answer to a write that means that this part of the GPU, not the main one, has no such
         * quota. */
        bool (*is_elsewhere)(int r);
        /* Before quotas are written, where that changes more than they say, which has to be undone later. */
        void (*before_write)(VgpuTarget *t);
        /* After that, and after every scan: whether it did. */
        void (*after_write)(VgpuTarget *t);
        /* Why a write of a quota is refused; NULL: only the reasons that hold for all drivers. */
        const Refusal *refusals;

        /* Modes of the GPU and what they change of the types: called at the end of scan(). */
        int (*add_modes)(VgpuTarget *t, GpuSnapshot *snapshot, VgpudError *reterr);
        /* VgpuDriver.configure */
        int (*configure)(VgpuTarget *t, const char *mode, const char *value, VgpudError *reterr);
} VfProvider;
