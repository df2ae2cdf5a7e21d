/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Private to the back end "sriov": what a driver of the host adds to plain virtual functions. Quotas that can
 * be set for each, and modes of the whole GPU. sriov.c has the list of providers; the first whose match() says
 * yes has the GPU. Every slot but name and match may be NULL. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "drivers-glue/driver.h"

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
        /* What an errno of such a write means for this driver, in words, and its code where that is not FAILED;
         * NULL: nothing special. */
        const char *(*explain)(int r, VgpudErrorCode *code);

        /* Modes of the GPU and what they change of the types: called at the end of scan(). */
        int (*add_modes)(VgpuTarget *t, GpuSnapshot *snapshot, VgpudError *reterr);
        /* VgpuDriver.configure */
        int (*configure)(VgpuTarget *t, const char *mode, const char *value, VgpudError *reterr);
} VfProvider;

extern const VfProvider xe_provider;   /* sriov-xe.c */
extern const VfProvider i915_provider; /* sriov-i915.c */
extern const VfProvider gim_provider;  /* sriov-gim.c */

/* sriov-quota.c */

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
