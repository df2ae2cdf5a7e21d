/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Quotas of virtual functions of Intel's i915 with SR-IOV, which is not part of Linux: iov/ or prelim_iov/
 * below drm/cardN, with a folder for each GT of each function. Functions count from 1 there, pf/ is the GPU
 * itself. */

#include "drivers-glue/sriov-provider.h"

#include <errno.h>
#include <string.h>

#include "base/parse-util.h"

static bool i915_match(const GpuFacts *facts)
{
        return (facts->features & VGPU_FEATURE_I915_IOV) && facts->iov_path;
}

/* Contexts are given in packages (CTXS_GRANULARITY, intel_iov_provisioning.c), which are counted in 16 bits:
 * what is more than the last whole one is taken for none. */
#define CONTEXTS_STEP 128
#define CONTEXTS_MAX  (UINT16_MAX / CONTEXTS_STEP * CONTEXTS_STEP)

static const VfQuota quotas[] = {
        { "exec_quantum_ms", VF_QUOTA_NUMBER, .max = UINT32_MAX,
          .help = "milliseconds: how long it may compute before others get their turn; 0: no limit" },
        { "preempt_timeout_us", VF_QUOTA_NUMBER, .max = UINT32_MAX,
          .help = "microseconds: how long it may take to give way before it is reset; 0: no limit" },
        /* Pages of 4 or 64 KiB. */
        { "ggtt_quota", VF_QUOTA_BYTES, .step = 64 << 10,
          .help = "bytes (K, M, G allowed) of the address space that the GPU's firmware sees, rounded up" },
        { "contexts_quota", VF_QUOTA_NUMBER, .max = CONTEXTS_MAX, .step = CONTEXTS_STEP,
          .help = "number of contexts of the GPU's firmware (up to 65408), rounded up to a multiple of 128" },
        { "doorbells_quota", VF_QUOTA_NUMBER, .max = UINT16_MAX,
          .help = "number of doorbells of the GPU's firmware" },
};

static int i915_list_folders(VgpuTarget *t, uint32_t vf_index, char ***ret)
{
        g_autofree char *path = g_strdup_printf("%s/vf%u", t->facts->iov_path, vf_index + 1);
        g_autoptr(GPtrArray) folders = g_ptr_array_new_with_free_func(g_free);
        g_auto(GStrv) names = NULL;
        uint32_t number;
        int r = vgpu_io_list(t->io, path, &names);

        if (r < 0)
                return r;
        for (char **n = names; *n; n++)
                if (g_str_has_prefix(*n, "gt") && parse_u32(*n + strlen("gt"), 10, &number) >= 0)
                        g_ptr_array_add(folders, g_strdup_printf("%s/%s", path, *n));
        if (folders->len == 0)
                return -ENOENT;
        g_ptr_array_add(folders, NULL);
        *ret = (char **)g_ptr_array_free(g_steal_pointer(&folders), FALSE);
        return 0;
}

/* The GT for media has no address space of its own: the file is there, but nobody may write to it; older
 * releases say ENODEV. */
static bool i915_is_elsewhere(int r)
{
        return r == -EACCES || r == -ENODEV;
}

static const char *i915_explain(int r, VgpudErrorCode *code)
{
        switch (-r) {
        case EDQUOT:
        case E2BIG:
        case EOVERFLOW:
        case ENOSPC:
                *code = VGPUD_ERROR_NO_CAPACITY;
                return "the GPU has not that much left (pf/gt0/available in the driver's tree says how much); "
                       "the other virtual functions have their share already";
        case ENODEV:
        case EOPNOTSUPP:
                *code = VGPUD_ERROR_UNSUPPORTED;
                return "the GPU does not have it";
        case ESTALE:
        case ENOKEY:
                return "only a part of what its virtual functions need was provisioned by hand";
        case EPERM:
        case EACCES:
                *code = VGPUD_ERROR_UNSUPPORTED;
                return "this driver does not let it be set";
        case EIO:
                return "the driver does not let it be set, or the GPU's firmware (GuC) refused";
        case EPROTO:
                return "the GPU's firmware (GuC) refused, or the process that asks the kernel could not be "
                       "started or died before the answer (the daemon's log would have that)";
        default:
                return NULL;
        }
}

const VfProvider i915_provider = {
        .name = "i915",
        .match = i915_match,
        .quotas = quotas,
        .n_quotas = G_N_ELEMENTS(quotas),
        .list_folders = i915_list_folders,
        .is_elsewhere = i915_is_elsewhere,
        .explain = i915_explain,
};
