/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Quotas of virtual functions of Intel's driver xe: sriov_admin/ (Linux 6.19 and later,
 * Documentation/ABI/testing/sysfs-driver-intel-xe-sriov). Functions count from 1 there, pf/ is the GPU itself.
 */

#include "drivers-glue/intel/xe.h"

#include <errno.h>

#include "drivers-glue/intel/vfs.h"

static bool xe_match(const GpuFacts *facts)
{
        return facts->features & VGPU_FEATURE_XE_ADMIN;
}

/* Without sriov_admin/: Linux before 6.19. */
static bool xe_match_plain(const GpuFacts *facts)
{
        return g_strcmp0(facts->driver, "xe") == 0;
}

static const VfQuota quotas[] = {
        { "exec_quantum_ms", VF_QUOTA_NUMBER, .max = 100000,
          .help = "milliseconds (0 to 100000): how long it may compute before others get their turn; 0: no "
                  "limit" },
        { "preempt_timeout_us", VF_QUOTA_NUMBER, .max = UINT32_MAX,
          .help = "microseconds: how long it may take to give way before it is reset; 0: no limit" },
        { "sched_priority", VF_QUOTA_PRIORITY,
          .help = "low, normal or high: who computes first; kernels may allow only one for virtual functions" },
        /* 2 MiB on each tile. */
        { "vram_quota", VF_QUOTA_BYTES, .step = (uint64_t)16 << 20, .framebuffer = true,
          .help = "bytes (K, M, G allowed) of graphics memory, rounded up by the GPU; a driver that takes it "
                  "only "
                  "before functions are enabled has one taken that has it already" },
};

static int xe_list_folders(VgpuTarget *t, uint32_t vf_index, char ***ret)
{
        char **folders = g_new0(char *, 2);

        folders[0] = g_strdup_printf("%s/sriov_admin/vf%u/profile", t->facts->path, vf_index + 1);
        *ret = folders;
        return 0;
}

static const Refusal xe_refusals[] = {
        { EPERM, VGPUD_ERROR_UNSUPPORTED,
          "this kernel or GPU does not let it be set for a single virtual function" },
        { EACCES, VGPUD_ERROR_UNSUPPORTED,
          "this kernel or GPU does not let it be set for a single virtual function" },
        { EOPNOTSUPP, VGPUD_ERROR_UNSUPPORTED, "the GPU does not have it" },
        { ENODEV, VGPUD_ERROR_UNSUPPORTED, "the GPU does not have it" },
        { ENOSPC, VGPUD_ERROR_NO_CAPACITY,
          "the GPU has not that much left; the other virtual functions, also idle ones, have their share already" },
        { ENODATA, VGPUD_ERROR_FAILED, "nothing is provisioned for it" },
        { EUCLEAN, VGPUD_ERROR_FAILED, "the parts of the GPU do not agree on it" },
        { ECANCELED, VGPUD_ERROR_FAILED, EXPLAIN_WEDGED },
        { EIO, VGPUD_ERROR_FAILED, "the GPU's firmware (GuC) refused" },
        { ENOKEY, VGPUD_ERROR_FAILED, "the GPU's firmware (GuC) refused" },
        { EPROTO, VGPUD_ERROR_FAILED, EXPLAIN_GUC_OR_WRITER },
        { 0 },
};

static const VfMethod xe_vf_method = {
        .refusals = intel_vf_refusals,
        .limit_hint = INTEL_LIMIT_HINT,
};

const VfProvider xe_provider = {
        .name = "xe",
        .match = xe_match,
        .method = &xe_vf_method,
        .quotas = quotas,
        .n_quotas = G_N_ELEMENTS(quotas),
        .list_folders = xe_list_folders,
        .refusals = xe_refusals,
};

const VfProvider xe_plain_provider = {
        .name = "xe-plain",
        .match = xe_match_plain,
        .method = &xe_vf_method,
};
