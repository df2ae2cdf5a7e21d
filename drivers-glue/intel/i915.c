/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Quotas of the VFs of Intel's i915 with SR-IOV, which is not part of Linux. The tree iov/ or prelim_iov/ below
 * drm/cardN has a folder for each GT of each VF. VFs count from 1 in the tree; pf/ is the GPU. */

#include "drivers-glue/intel/i915.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/parse-util.h"
#include "drivers-glue/intel/vfs.h"

static bool i915_match(const GpuFacts *facts)
{
        return (facts->features & VGPU_FEATURE_I915_IOV) && facts->iov_path;
}

/* The i915 of Linux has no tree iov/. */
static bool i915_match_plain(const GpuFacts *facts)
{
        return g_strcmp0(facts->driver, "i915") == 0;
}

/* The driver allocates contexts in packages (CTXS_GRANULARITY, intel_iov_provisioning.c) and counts them in 16
 * bits. A number above the last whole package would become 0. */
#define CONTEXTS_STEP 128
#define CONTEXTS_MAX  (UINT16_MAX / CONTEXTS_STEP * CONTEXTS_STEP)

static const VfQuota i915_quotas[] = {
        { "exec_quantum_ms", VF_QUOTA_NUMBER, .max = UINT32_MAX,
          .help = "milliseconds of computing before other VFs get their turn; 0: no limit" },
        { "preempt_timeout_us", VF_QUOTA_NUMBER, .max = UINT32_MAX,
          .help = "microseconds until a VF that does not yield is reset; 0: no limit" },
        /* The driver rounds up to pages of 4 or 64 KiB: assume the larger. */
        { "ggtt_quota", VF_QUOTA_BYTES, .step = 64 << 10,
          .help = "bytes (K, M, G allowed) of the address space of the GPU's firmware, rounded up" },
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
        int r;

        g_assert(i915_match(t->facts));
        g_assert(vf_index < UINT32_MAX);

        r = vgpu_io_list(t->io, path, &names);
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

/* The GT for media has no address space of its own: writes to its ggtt_quota fail with EACCES, in older
 * releases with ENODEV. */
static bool i915_is_elsewhere(int r)
{
        return r == -EACCES || r == -ENODEV;
}

#define I915_NOTHING_LEFT "the GPU has too little left, because the other VFs have their share already"
#define I915_NOTHING_LEFT_HINT   \
        VGPUD_HINT_CHOOSE_OTHER, \
                        "request at most the amount that pf/gt0/available in the tree of the driver shows"
#define I915_PARTIAL   "the VFs were provisioned by hand, but not with all resources"
#define I915_READ_ONLY "this driver does not allow changes of the quota"

static const Refusal i915_refusals[] = {
        { EDQUOT, VGPUD_ERROR_NO_CAPACITY, I915_NOTHING_LEFT, I915_NOTHING_LEFT_HINT },
        { E2BIG, VGPUD_ERROR_NO_CAPACITY, I915_NOTHING_LEFT, I915_NOTHING_LEFT_HINT },
        { EOVERFLOW, VGPUD_ERROR_NO_CAPACITY, I915_NOTHING_LEFT, I915_NOTHING_LEFT_HINT },
        { ENOSPC, VGPUD_ERROR_NO_CAPACITY, I915_NOTHING_LEFT, I915_NOTHING_LEFT_HINT },
        { ENODEV, VGPUD_ERROR_UNSUPPORTED, "the GPU has no such quota" },
        { EOPNOTSUPP, VGPUD_ERROR_UNSUPPORTED, "the GPU has no such quota" },
        { ESTALE, VGPUD_ERROR_FAILED, I915_PARTIAL, INTEL_PROVISION_HINT },
        { ENOKEY, VGPUD_ERROR_FAILED, I915_PARTIAL, INTEL_PROVISION_HINT },
        { EPERM, VGPUD_ERROR_UNSUPPORTED, I915_READ_ONLY },
        { EACCES, VGPUD_ERROR_UNSUPPORTED, I915_READ_ONLY },
        { EIO, VGPUD_ERROR_FAILED,
          "the driver does not allow the value, or the GPU's firmware (GuC) refused it", INTEL_LOG_HINT },
        { EPROTO, VGPUD_ERROR_FAILED, INTEL_GUC_OR_WRITER, INTEL_GUC_OR_WRITER_HINT },
        { 0 },
};

/* ---- automatic provisioning ---- */

/* While automatic provisioning is on, enabling VFs shares all resources among them. Writing a quota switches
 * automatic provisioning off (pf_mark_manual_provisioning()), and VFs that are enabled afterwards get no
 * resources ("trust late provisioning", i915_sriov_pf_enable_vfs()).
 *
 * The driver lets a program switch automatic provisioning on only while no VF has resources (else ESTALE), so
 * vgpud switches it on after the VFs are disabled. A note records that a quota of vgpud switched it off. If the
 * administrator switched it off, there is no note, and vgpud leaves it off. */

#define NOTE "auto-provisioning"

static char *i915_make_automatic_path(const VgpuTarget *t)
{
        g_assert(i915_match(t->facts));

        return g_strdup_printf("%s/pf/auto_provisioning", t->facts->iov_path);
}

/* Returns 1 if automatic provisioning is on, 0 if off, or -errno. */
static int i915_read_automatic(VgpuTarget *t)
{
        g_autofree char *path = i915_make_automatic_path(t), *text = NULL;
        bool on;
        int r = vgpu_io_read(t->io, path, &text);

        if (r >= 0)
                r = parse_boolean(text, &on);

        return r < 0 ? r : on;
}

/* The identity of the file changes when the driver is loaded again, which resets the setting. */
static char *i915_identify_automatic(VgpuTarget *t)
{
        g_autofree char *path = i915_make_automatic_path(t);
        uint64_t identity;

        return vgpu_io_identify(t->io, path, &identity) < 0 ? NULL : g_strdup_printf("%" PRIu64, identity);
}

static void i915_leave_note(VgpuTarget *t)
{
        g_autofree char *identity = i915_identify_automatic(t);

        if (identity && i915_read_automatic(t) == 1)
                gpu_note_write(t->notes, NOTE, identity);
}

/* Removes a stale note: the driver was loaded again, or automatic provisioning is on, for example because vgpud
 * was killed before it wrote the quota. */
static void i915_check_note(VgpuTarget *t)
{
        g_autofree char *note = gpu_note_read(t->notes, NOTE),
                        *identity = note ? i915_identify_automatic(t) : NULL;

        if (note && (g_strcmp0(note, identity) != 0 || i915_read_automatic(t) == 1))
                gpu_note_remove(t->notes, NOTE);
}

/* VfMethod.after_disable: switch automatic provisioning on if a quota of vgpud switched it off. */
static void i915_restore_automatic(VgpuTarget *t)
{
        g_autofree char *path = NULL, *note = NULL;

        if (!i915_match(t->facts))
                return;

        i915_check_note(t);
        note = gpu_note_read(t->notes, NOTE);
        if (!note)
                return;

        /* i915_refuse_empty() reports a failure as soon as the setting matters. */
        path = i915_make_automatic_path(t);
        (void)vgpu_io_write_guarded(t->io, path, "1");
        i915_check_note(t);
}

/* VfMethod.before_enable: FAILED if automatic provisioning is off and a VF would have no resources. */
static int i915_refuse_empty(VgpuTarget *t, uint32_t count, VgpudError *reterr)
{
        g_assert(count > 0);

        if (!i915_match(t->facts) || i915_read_automatic(t) != 0)
                return 0;

        for (uint32_t i = 0; i < count; i++) {
                g_auto(GStrv) folders = NULL;
                g_autofree char *quota = NULL;
                int r;

                if (i915_list_folders(t, i, &folders) < 0 ||
                    vgpu_io_readf(t->io, &quota, "%s/ggtt_quota", folders[0]) < 0 || strcmp(quota, "0") != 0)
                        continue;

                r = vgpud_error_setf(
                                reterr, VGPUD_ERROR_FAILED,
                                "driver i915 would enable VF %" PRIu32
                                " of GPU %s without resources: automatic provisioning is off and /sys/%s/ggtt_quota is 0",
                                i + 1, t->facts->name, folders[0]);
                vgpud_error_hintf(
                                reterr, VGPUD_HINT_CONFIGURE_GPU,
                                "set ggtt_quota, contexts_quota and doorbells_quota of every VF; or, while these are 0 on every VF, write 1 to /sys/%s/pf/auto_provisioning",
                                t->facts->iov_path);

                return r;
        }

        return 0;
}

const VfMethod i915_vf_method = {
        .after_disable = i915_restore_automatic,
        .before_enable = i915_refuse_empty,
        .refusals = intel_vf_refusals,
        .limit_hint = { VGPUD_HINT_CONFIGURE_DRIVER, INTEL_LIMIT_HINT },
        .unable_hint = { VGPUD_HINT_CONFIGURE_DRIVER,
                         "bind the GPU to xe (boot with xe.force_probe=ID i915.force_probe=!ID, where ID is its PCI device ID), or install Intel's i915 with SR-IOV and set its parameter max_vfs" },
};

const VfProvider i915_provider = {
        .name = "i915",
        .match = i915_match,
        .method = &i915_vf_method,
        .quotas = i915_quotas,
        .n_quotas = G_N_ELEMENTS(i915_quotas),
        .list_folders = i915_list_folders,
        .is_elsewhere = i915_is_elsewhere,
        .before_write = i915_leave_note,
        .after_write = i915_check_note,
        .refusals = i915_refusals,
};

const VfProvider i915_plain_provider = {
        .name = "i915-plain",
        .match = i915_match_plain,
        .method = &i915_vf_method,
};
