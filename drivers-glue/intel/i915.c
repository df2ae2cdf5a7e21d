/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Quotas of virtual functions of Intel's i915 with SR-IOV, which is not part of Linux: iov/ or prelim_iov/
 * below drm/cardN, with a folder for each GT of each function. Functions count from 1 there, pf/ is the GPU
 * itself. */

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

/* Without the tree iov/: i915 as it is in Linux. */
static bool i915_match_plain(const GpuFacts *facts)
{
        return g_strcmp0(facts->driver, "i915") == 0;
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

#define I915_NOTHING_LEFT \
        "the GPU has not that much left (see pf/gt0/available in the driver's tree); the other virtual functions have their share already"

static const Refusal i915_refusals[] = {
        { EDQUOT, VGPUD_ERROR_NO_CAPACITY, I915_NOTHING_LEFT },
        { E2BIG, VGPUD_ERROR_NO_CAPACITY, I915_NOTHING_LEFT },
        { EOVERFLOW, VGPUD_ERROR_NO_CAPACITY, I915_NOTHING_LEFT },
        { ENOSPC, VGPUD_ERROR_NO_CAPACITY, I915_NOTHING_LEFT },
        { ENODEV, VGPUD_ERROR_UNSUPPORTED, "the GPU does not have it" },
        { EOPNOTSUPP, VGPUD_ERROR_UNSUPPORTED, "the GPU does not have it" },
        { ESTALE, VGPUD_ERROR_FAILED,
          "only a part of the resources of its virtual functions was provisioned by hand" },
        { ENOKEY, VGPUD_ERROR_FAILED,
          "only a part of the resources of its virtual functions was provisioned by hand" },
        { EPERM, VGPUD_ERROR_UNSUPPORTED, "this driver does not let it be set" },
        { EACCES, VGPUD_ERROR_UNSUPPORTED, "this driver does not let it be set" },
        { EIO, VGPUD_ERROR_FAILED, "the driver does not let it be set, or the GPU's firmware (GuC) refused" },
        { EPROTO, VGPUD_ERROR_FAILED, EXPLAIN_GUC_OR_WRITER },
        { 0 },
};

/* Automatic provisioning. While it is on, enabling functions shares everything out among them. Any quota that
 * is written switches it off (pf_mark_manual_provisioning()), it stays off, and functions that are enabled then
 * have nothing: "trust late provisioning", i915_sriov_pf_enable_vfs(). It can be switched on while no function
 * has any resources (else ESTALE), so not as long as they are enabled: a note says that it was a quota of ours
 * that switched it off. Who did it on purpose has it stay off. */

#define NOTE "auto-provisioning"

static char *automatic_path(const VgpuTarget *t)
{
        return g_strdup_printf("%s/pf/auto_provisioning", t->facts->iov_path);
}

/* 1, 0, or -errno. */
static int read_automatic(VgpuTarget *t)
{
        g_autofree char *path = automatic_path(t), *text = NULL;
        bool on;
        int r = vgpu_io_read(t->io, path, &text);

        if (r >= 0)
                r = parse_boolean(text, &on);
        return r < 0 ? r : on;
}

/* Which file it is: after the driver was loaded again it is another one, and says what that began with. */
static char *identify_automatic(VgpuTarget *t)
{
        g_autofree char *path = automatic_path(t);
        uint64_t identity;

        return vgpu_io_identify(t->io, path, &identity) < 0 ? NULL : g_strdup_printf("%" PRIu64, identity);
}

static void leave_note(VgpuTarget *t)
{
        g_autofree char *identity = identify_automatic(t);

        if (identity && read_automatic(t) == 1)
                gpu_note_write(t->notes, NOTE, identity);
}

/* A note that it is off is none when it is on; the daemon may have been killed before it wrote the quota. */
static void check_note(VgpuTarget *t)
{
        g_autofree char *note = gpu_note_read(t->notes, NOTE), *identity = note ? identify_automatic(t) : NULL;

        if (note && (g_strcmp0(note, identity) != 0 || read_automatic(t) == 1))
                gpu_note_remove(t->notes, NOTE);
}

/* VfMethod.after_disable: if a quota of ours switched automatic provisioning off, switch it on again. */
static void i915_restore_automatic(VgpuTarget *t)
{
        g_autofree char *path = NULL, *note = NULL;

        if (!i915_match(t->facts))
                return;
        check_note(t);
        note = gpu_note_read(t->notes, NOTE);
        if (!note)
                return;
        /* Where it cannot be, i915_refuse_empty() says so as soon as it matters. */
        path = automatic_path(t);
        (void)vgpu_io_write_guarded(t->io, path, "1");
        check_note(t);
}

/* VfMethod.before_enable: FAILED if automatic provisioning is off and a VF would have no resources. */
static int i915_refuse_empty(VgpuTarget *t, uint32_t count, VgpudError *reterr)
{
        if (!i915_match(t->facts) || read_automatic(t) != 0)
                return 0;
        for (uint32_t i = 0; i < count; i++) {
                g_auto(GStrv) folders = NULL;
                g_autofree char *quota = NULL;

                if (i915_list_folders(t, i, &folders) < 0 ||
                    vgpu_io_readf(t->io, &quota, "%s/ggtt_quota", folders[0]) < 0 || strcmp(quota, "0") != 0)
                        continue;
                return vgpud_error_setf(
                                reterr, VGPUD_ERROR_FAILED,
                                "GPU %s has no virtual functions now: its driver i915 would enable number "
                                "%" PRIu32
                                " with nothing to work with, because its automatic provisioning was switched "
                                "off and /sys/%s/ggtt_quota is 0; write 1 to /sys/%s/pf/auto_provisioning "
                                "(which it takes while all of these quotas are 0), or set ggtt_quota, "
                                "contexts_quota and doorbells_quota of every function, and ask for the same",
                                t->facts->name, i + 1, folders[0], t->facts->iov_path);
        }
        return 0;
}

const VfMethod i915_vf_method = {
        .after_disable = i915_restore_automatic,
        .before_enable = i915_refuse_empty,
        .refusals = intel_vf_refusals,
        .limit_hint = INTEL_LIMIT_HINT,
        .unable_hint = "i915 as it is in Linux never can: bind the GPU to xe (xe.force_probe=, i915.force_probe=!, with its device ID) or install Intel's i915 with SR-IOV and set its parameter max_vfs",
};

const VfProvider i915_provider = {
        .name = "i915",
        .match = i915_match,
        .method = &i915_vf_method,
        .quotas = quotas,
        .n_quotas = G_N_ELEMENTS(quotas),
        .list_folders = i915_list_folders,
        .is_elsewhere = i915_is_elsewhere,
        .before_write = leave_note,
        .after_write = check_note,
        .refusals = i915_refusals,
};

const VfProvider i915_plain_provider = {
        .name = "i915-plain",
        .match = i915_match_plain,
        .method = &i915_vf_method,
};
