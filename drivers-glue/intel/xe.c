/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Quotas of the VFs of Intel's driver xe: sriov_admin/ (Linux 6.19 and later,
 * Documentation/ABI/testing/sysfs-driver-intel-xe-sriov). VFs count from 1 there; pf/ is the GPU. */

#include "drivers-glue/intel/xe.h"

#include <errno.h>

#include "drivers-glue/intel/vfs.h"

static bool xe_match(const GpuFacts *facts)
{
        return facts->features & VGPU_FEATURE_XE_ADMIN;
}

/* Linux before 6.19 has no sriov_admin/. */
static bool xe_match_plain(const GpuFacts *facts)
{
        return g_strcmp0(facts->driver, "xe") == 0;
}

static const VfQuota xe_quotas[] = {
        { "exec_quantum_ms", VF_QUOTA_NUMBER, .max = 100000,
          .help = "milliseconds (0 to 100000) of computing before other VFs get their turn; 0: no limit" },
        { "preempt_timeout_us", VF_QUOTA_NUMBER, .max = UINT32_MAX,
          .help = "microseconds until a VF that does not yield is reset; 0: no limit" },
        { "sched_priority", VF_QUOTA_PRIORITY,
          .help = "low, normal or high: VFs with a higher priority compute first; some kernels allow only one value" },
        /* The driver rounds up to 2 MiB on each tile; 16 MiB allow for eight tiles. */
        { "vram_quota", VF_QUOTA_BYTES, .step = (uint64_t)16 << 20, .framebuffer = true,
          .help = "bytes (K, M, G allowed) of graphics memory, rounded up by the GPU; the driver may refuse to change it while VFs are enabled, so vgpud prefers a VF that has this value already" },
};

static int xe_list_folders(VgpuTarget *t, uint32_t vf_index, char ***ret)
{
        char **folders = g_new0(char *, 2);

        g_assert(xe_match(t->facts));
        g_assert(vf_index < UINT32_MAX);

        folders[0] = g_strdup_printf("%s/sriov_admin/vf%u/profile", t->facts->path, vf_index + 1);
        *ret = folders;

        return 0;
}

#define XE_NOT_PER_VF "this kernel or GPU does not allow the value for a single VF"

static const Refusal xe_refusals[] = {
        { EPERM, VGPUD_ERROR_UNSUPPORTED, XE_NOT_PER_VF },
        { EACCES, VGPUD_ERROR_UNSUPPORTED, XE_NOT_PER_VF },
        { EOPNOTSUPP, VGPUD_ERROR_UNSUPPORTED, "the GPU has no such quota" },
        { ENODEV, VGPUD_ERROR_UNSUPPORTED, "the GPU has no such quota" },
        { ENOSPC, VGPUD_ERROR_NO_CAPACITY,
          "the GPU has too little left, because the other VFs have their share already",
          VGPUD_HINT_CHOOSE_OTHER, "request less, or lower the quotas of the other VFs" },
        { ENODATA, VGPUD_ERROR_FAILED, "the VF has no provisioned resources" },
        { EUCLEAN, VGPUD_ERROR_FAILED, "the parts of the GPU have different values" },
        { ECANCELED, VGPUD_ERROR_FAILED, INTEL_WEDGED, INTEL_WEDGED_HINT },
        { EIO, VGPUD_ERROR_FAILED, "the GPU's firmware (GuC) refused", INTEL_LOG_HINT },
        { ENOKEY, VGPUD_ERROR_FAILED, "the GPU's firmware (GuC) refused", INTEL_LOG_HINT },
        { EPROTO, VGPUD_ERROR_FAILED, INTEL_GUC_OR_WRITER, INTEL_GUC_OR_WRITER_HINT },
        { 0 },
};

static const VfMethod xe_vf_method = {
        .refusals = intel_vf_refusals,
        .limit_hint = { VGPUD_HINT_CONFIGURE_DRIVER, INTEL_LIMIT_HINT },
};

const VfProvider xe_provider = {
        .name = "xe",
        .match = xe_match,
        .method = &xe_vf_method,
        .quotas = xe_quotas,
        .n_quotas = G_N_ELEMENTS(xe_quotas),
        .list_folders = xe_list_folders,
        .refusals = xe_refusals,
};

const VfProvider xe_plain_provider = {
        .name = "xe-plain",
        .match = xe_match_plain,
        .method = &xe_vf_method,
};
