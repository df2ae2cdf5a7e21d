/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Parsers for files and answers of single drivers: the partitions of AMD's gim, the quotas of xe and i915, the
 * sentences of the first gim, the log of sriov-manage. The first byte of the input selects the parser. */

#include "fuzz.h"

#include "base/log.h"
#include "drivers-glue/amd/gim-legacy-ask.h"
#include "drivers-glue/amd/gim-legacy-share.h"
#include "drivers-glue/amd/gim.h"
#include "drivers-glue/facts.h"
#include "drivers-glue/intel/i915.h"
#include "drivers-glue/intel/xe.h"
#include "drivers-glue/nvidia/sriov-manage.h"
#include "drivers-glue/sriov/quota.h"
#include "fuzz-io.h"

/* A GPU with one VF. */
static GpuFacts *make_facts(unsigned features, const char *driver)
{
        GpuFacts *f = gpu_facts_new(FUZZ_GPU_NAME, FUZZ_GPU);

        f->is_pci = true;
        f->features = features;
        f->driver = g_strdup(driver);
        f->iov_path = features & VGPU_FEATURE_I915_IOV ? g_strdup(FUZZ_GPU "/drm/card0/iov") : NULL;
        f->total_vfs = 7;
        f->enabled_vfs = 1;
        g_ptr_array_add(f->vfs, vgpu_vf_new(0, "0000:03:00.1", "devices/pci0000:00/0000:00:01.0/0000:03:00.1"));

        return f;
}

static void check_result(int r, const VgpudError *e)
{
        if (r < 0) {
                g_assert(e->code != VGPUD_ERROR_NONE && r == -vgpud_error_code_to_errno(e->code));
                g_assert(e->message && strlen(e->message) <= 2048 && g_utf8_validate(e->message, -1, NULL));
        } else
                g_assert(e->code == VGPUD_ERROR_NONE);
}

static void check_attributes(const GPtrArray *attributes)
{
        for (guint i = 0; attributes && i < attributes->len; i++) {
                const VgpuAttribute *a = attributes->pdata[i];

                g_assert(a->name[0] && g_utf8_validate(a->value, -1, NULL));
        }
}

static void fuzz_gim(FuzzInput *in)
{
        _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;
        g_autofree char *mode = fuzz_take_text(in), *value = fuzz_take_text(in);
        GpuSnapshot *s = gpu_snapshot_new();
        GpuFacts *f = make_facts(VGPU_FEATURE_GIM, "gim");
        VgpuTarget t = { .facts = f, .io = fuzz_io_new(in) };

        check_result(gim_provider.add_modes(&t, s, &e), &e);
        for (guint i = 0; i < s->modes->len; i++) {
                const VgpuMode *m = s->modes->pdata[i];

                g_assert(m->value[0] && !strchr(m->value, '\n'));
                g_assert(!m->choices || m->choices[0]);
        }

        vgpud_error_done(&e);
        check_result(gim_provider.configure(&t, mode, value, &e), &e);
        gpu_snapshot_unref(s);
        gpu_facts_unref(f);
        vgpu_io_free(t.io);
}

DEFINE_DESTROY_NOTIFY(attribute_free, vgpu_attribute_free)

/* The input has the names and values of options, one option in each line, and then the files. */
static void fuzz_quotas(FuzzInput *in, const VfProvider *p, unsigned features, const char *driver)
{
        _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;
        g_autoptr(GPtrArray) wanted = g_ptr_array_new_with_free_func(attribute_free), all = NULL, saved = NULL,
                             options = NULL;
        g_autofree char *text = fuzz_take_text(in);
        GpuFacts *f = make_facts(features, driver);
        VgpuTarget t = { .facts = f, .io = fuzz_io_new(in) };
        char *line, *next = text;
        int r;

        while ((line = fuzz_take_line(&next)) && wanted->len < 8) {
                char *equals = strchr(line, '=');

                if (!equals)
                        continue;

                *equals = 0;
                g_ptr_array_add(wanted, vgpu_attribute_new(line, equals + 1));
        }

        options = vf_quota_options(&t, p);
        g_assert(!options || options->len > 0);
        all = vf_quota_read_all(&t, p, 0);
        check_attributes(all);
        (void)vf_quota_find_framebuffer(p, all);
        (void)vf_quota_read_framebuffer(&t, p, 0);

        if (wanted->len > 0) {
                r = vf_quota_check(&t, p, wanted, &e);
                check_result(r, &e);

                if (r >= 0) {
                        saved = vf_quota_save(&t, p, 0, wanted);
                        check_attributes(saved);
                }

                vgpud_error_done(&e);
                /* Texts of a record reach vf_quota_write() without vf_quota_check(). */
                r = vf_quota_write(&t, p, f->vfs->pdata[0], wanted, &e);
                check_result(r, &e);
                (void)vf_quota_has(&t, p, 0, wanted);
        }

        if (saved && saved->len > 0) {
                vgpud_error_done(&e);
                check_result(vf_quota_write(&t, p, f->vfs->pdata[0], saved, &e), &e);
        }

        gpu_facts_unref(f);
        vgpu_io_free(t.io);
}

static void fuzz_first_gim(FuzzInput *in)
{
        _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;
        g_autofree char *text = fuzz_take_text(in), *answer = NULL;
        GpuFacts *f = make_facts(VGPU_FEATURE_GIM_LEGACY, "gim");
        VgpuTarget t = { .facts = f, .io = fuzz_io_new(in) };
        const GimShare share = { 256, 512, 4 };

        check_result(gim_share_explain_answer(&t, &share, text, &e), &e);
        vgpud_error_done(&e);
        check_result(gim_legacy_release(&t, f->vfs->pdata[0], &e), &e);

        if (gim_legacy_ask(&t, "getvf", "0 0 0", &answer, NULL) >= 0)
                g_assert(answer && g_utf8_validate(answer, -1, NULL));

        gpu_facts_unref(f);
        vgpu_io_free(t.io);
}

static void fuzz_sriov_manage(FuzzInput *in)
{
        _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;
        GpuFacts *f = make_facts(0, "nvidia");
        VgpuTarget t = { .facts = f, .io = fuzz_io_new(in) };

        check_result(nvidia_run_sriov_manage(&t, true, &e), &e);
        gpu_facts_unref(f);
        vgpu_io_free(t.io);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        FuzzInput in = { data, size };

        log_set_max_level(LOG_CRIT);

        switch (fuzz_take_byte(&in)) {
        case 'g':
                fuzz_gim(&in);
                break;
        case 'x':
                fuzz_quotas(&in, &xe_provider, VGPU_FEATURE_XE_ADMIN, "xe");
                break;
        case 'i':
                fuzz_quotas(&in, &i915_provider, VGPU_FEATURE_I915_IOV, "i915");
                break;
        case 'l':
                fuzz_first_gim(&in);
                break;
        case 's':
                fuzz_sriov_manage(&in);
                break;
        default:
                break;
        }

        return 0;
}
