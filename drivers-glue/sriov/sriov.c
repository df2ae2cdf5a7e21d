/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The back end for GPUs and accelerators that are divided by SR-IOV alone. An instance is a VF that is handed
 * out: bound to a driver of VFIO, or reserved for one. Destroying an instance restores the earlier state of the
 * VF. Providers (sriov/provider.h) add the features of drivers of the host: quotas and modes. */

#include <string.h>

#include "base/text.h"
#include "drivers-glue/driver.h"
#include "drivers-glue/explain.h"
#include "drivers-glue/pci-ids.h"
#include "drivers-glue/registry.h"
#include "drivers-glue/type-find.h"
#include "drivers-glue/amd/gim.h"
#include "drivers-glue/intel/i915.h"
#include "drivers-glue/sriov/provider.h"
#include "drivers-glue/sriov/quota.h"
#include "drivers-glue/intel/xe.h"
#include "drivers-glue/vf/create.h"
#include "drivers-glue/vf/return.h"
#include "drivers-glue/vf/bind.h"
#include "drivers-glue/vf/bound.h"
#include "drivers-glue/vf/count.h"

#define TYPE_PLAIN   "vf"
#define TYPE_PROFILE "vf-profile"

static const VfProvider *const sriov_providers[] = {
        &xe_provider,       &i915_provider,       &gim_provider,
        &xe_plain_provider, &i915_plain_provider, &gim_plain_provider,
};

static const VfProvider *sriov_find_provider(const GpuFacts *facts)
{
        for (size_t i = 0; i < G_N_ELEMENTS(sriov_providers); i++)
                if (sriov_providers[i]->match(facts))
                        return sriov_providers[i];

        return NULL;
}

static const VfMethod *sriov_find_method(const GpuFacts *facts)
{
        const VfProvider *p = sriov_find_provider(facts);

        return p ? p->method : NULL;
}

/* ---- match ---- */

static bool sriov_names_contain(const char *const *names, size_t n, const char *name)
{
        for (size_t i = 0; i < n; i++)
                if (g_strcmp0(names[i], name) == 0)
                        return true;

        return false;
}

/* True if the driver may enable VFs, and the VFs need no other interface. */
static bool sriov_driver_can_enable(const GpuFacts *f)
{
        static const char *const cannot[] = { "amdgpu",    "ast",    "mgag200", "nouveau",
                                              "nova-core", "nvidia", "radeon" };

        if (!f->driver || sriov_names_contain(cannot, G_N_ELEMENTS(cannot), f->driver) ||
            vfs_driver_is_stub(f->driver) || vfs_driver_is_vfio(f->driver))
                return false;
        /* Refuse GPUs of NVIDIA with any driver: the script sriov-manage binds the GPU to pci-pf-stub for some
         * seconds. */
        if (f->vendor == PCI_VENDOR_NVIDIA)
                return false;

        /* The i915 of Linux cannot enable VFs. Only Intel's i915 has the tree iov/ or enabled VFs. */
        if (strcmp(f->driver, "i915") == 0)
                return (f->features & VGPU_FEATURE_I915_IOV) || f->enabled_vfs > 0;

        return true;
}

static VgpuMatch sriov_match(const GpuFacts *f)
{
        bool wanted = f->class >> 16 == 0x03 || f->class >> 16 == 0x12 || (f->features & VGPU_FEATURE_ADMITTED);

        return f->is_pci && f->total_vfs > 0 && wanted && sriov_driver_can_enable(f) ? VGPU_MATCH_PLAIN
                                                                                     : VGPU_MATCH_NO;
}

static int sriov_read_instance(VgpuTarget *t, const VgpuVf *vf, VfState *s, InstanceDesc **ret)
{
        const VfProvider *p = sriov_find_provider(t->facts);
        int r = vf_read_instance(t, vf, s, TYPE_PLAIN, ret);

        if (r < 0)
                return r;

        /* The type is a guess: quotas set by options and the share set by the driver look alike. */
        (*ret)->type_guessed = p && p->n_quotas > 0;
        (*ret)->attributes = vf_quota_read_all(t, p, vf->index);
        (*ret)->memory_bytes = vf_quota_find_framebuffer(p, (*ret)->attributes);

        return 0;
}

static uint64_t sriov_read_framebuffer(VgpuTarget *t, const VgpuVf *vf)
{
        return vf_quota_read_framebuffer(t, sriov_find_provider(t->facts), vf->index);
}

/* ---- scan ---- */

static VfScan sriov_describe_vfs(const VgpuTarget *t)
{
        return (VfScan){ .method = sriov_find_method(t->facts),
                         .read_instance = sriov_read_instance,
                         .read_framebuffer = sriov_read_framebuffer,
                         .takes_bound = true };
}

static int sriov_scan(VgpuTarget *t, GpuSnapshot **ret, VgpudError *reterr)
{
        _cleanup_(gpu_snapshot_unrefp) GpuSnapshot *snapshot = gpu_snapshot_new();
        const VfProvider *p = sriov_find_provider(t->facts);
        const VfScan scan = sriov_describe_vfs(t);
        GPtrArray *options;
        _cleanup_(vf_count_done) VfCount count = { 0 };
        int r;

        r = vf_scan(t, &scan, snapshot, &count, reterr);
        if (r < 0)
                return r;

        g_ptr_array_add(snapshot->types,
                        vf_type_new(t->facts, scan.method, TYPE_PLAIN,
                                    "a VF with the share that the driver sets", &count, snapshot, NULL));
        options = vf_quota_options(t, p);
        if (options)
                g_ptr_array_add(snapshot->types,
                                vf_type_new(t->facts, scan.method, TYPE_PROFILE,
                                            "a VF with quotas set by options", &count, snapshot, options));

        if (p && p->add_modes) {
                r = p->add_modes(t, snapshot, reterr);
                if (r < 0)
                        return r;
        }

        if (p && p->after_write)
                p->after_write(t);
        gpu_snapshot_seal(snapshot);
        *ret = g_steal_pointer(&snapshot);

        return 0;
}

static void sriov_find_instances(VgpuTarget *t, const char *parent, GpuSnapshot *s)
{
        const VfScan scan = sriov_describe_vfs(t);

        vf_find_instances(t, &scan, parent, s);
}

/* Unbind the VF (refused while a program uses it), and restore its quotas and state. Restore driver_override
 * last, because it marks an interrupted return (vf_find_interrupted()). A quota that cannot be restored does
 * not stop the rest. */
static int sriov_put_back(VgpuTarget *t, const VfProvider *p, const VgpuVf *vf, const VfRestore *was,
                          VgpudError *reterr)
{
        _cleanup_vgpud_error_ VgpudError quota = VGPUD_ERROR_INIT;
        _cleanup_(vf_state_done) VfState now = { 0 };
        int r, q = 0;

        g_assert(!was->quotas || was->quotas->len == 0 || vf->index != UINT32_MAX);

        if (was->quotas && was->quotas->len > 0) {
                r = vf_state_read_or_explain(t, vf, &now, reterr);
                if (r < 0)
                        return r;

                r = vfs_bind_from(t->io, vf, vfs_driver_is_vfio(now.driver) ? now.driver : was->state.driver,
                                  NULL, now.override, reterr);
                if (r < 0)
                        return r;

                q = vf_quota_write(t, p, vf, was->quotas, &quota);
        }

        r = vf_return(t, vf, &was->state, reterr);
        if (r < 0 || q >= 0)
                return r;

        vgpud_error_move(reterr, &quota);

        return q;
}

/* ---- create ---- */

static int sriov_check_args(VgpuTarget *t, const VfProvider *p, const CreateArgs *args, VgpudError *reterr)
{
        bool profile = strcmp(args->type_id, TYPE_PROFILE) == 0;
        int r;

        r = create_args_check(args, reterr);
        if (r < 0)
                return r;

        if (profile) {
                g_autoptr(GPtrArray) options = vf_quota_options(t, p);

                if (options)
                        return vf_quota_check(t, p, args->attributes, reterr);
        }

        if (profile || strcmp(args->type_id, TYPE_PLAIN) != 0) {
                r = vgpud_error_setf(reterr, VGPUD_ERROR_NO_SUCH_TYPE, "GPU %s does not offer type \"%s\"",
                                     t->facts->name, TEXT_QUOTE(args->type_id));
                vgpud_error_hintf(reterr, VGPUD_HINT_CHOOSE_OTHER, "the GPU offers %s",
                                  p && p->n_quotas > 0 && !profile ? TYPE_PLAIN " and " TYPE_PROFILE
                                                                   : TYPE_PLAIN);

                return r;
        }

        if (args->attributes && args->attributes->len > 0) {
                r = vgpud_error_setf(reterr, VGPUD_ERROR_INVALID, "type " TYPE_PLAIN " has no options");
                if (p && p->n_quotas > 0)
                        vgpud_error_hintf(reterr, VGPUD_HINT_CHOOSE_OTHER,
                                          "use type " TYPE_PROFILE " for a VF with quotas");

                return r;
        }

        return 0;
}

static int sriov_explain_none_free(VgpuTarget *t, VgpudError *reterr)
{
        _cleanup_(gpu_snapshot_unrefp) GpuSnapshot *s = NULL;
        int r = sriov_scan(t, &s, reterr);

        if (r < 0)
                return r;

        return vf_explain_none_free(t, gpu_snapshot_find_type(s, TYPE_PLAIN, NULL), reterr);
}

/* Rate how well a VF fits; 0 for a VF that is taken, reserved or unreadable. A VF without a driver is better
 * than one with a driver of the host. If the request sets quotas, a VF that has these quotas already is best,
 * because a driver may refuse to change them. */
static int sriov_rate_vf(VgpuTarget *t, const VfProvider *p, const CreateArgs *args, const VgpuVf *vf)
{
        _cleanup_(vf_state_done) VfState state = { 0 };
        bool options = args->attributes && args->attributes->len > 0;

        if (vf_state_read(t->io, vf->path, &state) < 0 || vf_state_is_handed_out(&state) ||
            vf_state_is_reserved(&state))
                return 0;

        return (state.driver ? 1 : 2) + (!options || vf_quota_has(t, p, vf->index, args->attributes) ? 2 : 0);
}
#define RATE_MAX 4

/* Limit of failed VFs per create(), and of VFs in use that the message names. */
#define TRIES_MAX 3

/* The VFs on which one create() failed for a reason that concerns the VF alone. */
typedef struct Tries {
        GPtrArray *vfs;      /* the array is owned, each VgpuVf is borrowed */
        guint failed;        /* VFs that were written to */
        guint in_use;        /* VFs that were not written to, because a program uses them */
        GString *words;      /* owned; the messages */
        VgpudErrorCode code; /* the code of all errors; FAILED if they differ */
        int errnum;          /* errno of the first error */
        VgpudHint hint;      /* owned; hint of the first error */
} Tries;

static void sriov_tries_done(Tries *tries)
{
        g_ptr_array_unref(tries->vfs);
        (void)g_string_free(tries->words, TRUE);
        vgpud_hint_done(&tries->hint);
}

static bool sriov_was_tried(const Tries *tries, const VgpuVf *vf)
{
        for (guint i = 0; i < tries->vfs->len; i++)
                if (tries->vfs->pdata[i] == vf)
                        return true;

        return false;
}

static void sriov_tries_add(Tries *tries, const VgpuVf *vf, bool in_use, const VgpudError *e)
{
        g_assert(!sriov_was_tried(tries, vf));

        if (tries->vfs->len == 0) {
                tries->code = e->code;
                tries->errnum = e->errnum;
                vgpud_hint_copy(&tries->hint, &e->hint);
        } else if (tries->code != e->code)
                tries->code = VGPUD_ERROR_FAILED;

        if (!in_use || tries->in_use < TRIES_MAX)
                g_string_append_printf(tries->words, "%s%s", tries->vfs->len > 0 ? "; " : "", e->message);
        tries->failed += !in_use;
        tries->in_use += in_use;
        g_ptr_array_add(tries->vfs, (VgpuVf *)vf);
}

static int sriov_explain_tries(const VgpuTarget *t, const Tries *tries, VgpudError *reterr)
{
        guint more = tries->in_use > TRIES_MAX ? tries->in_use - TRIES_MAX : 0;

        int r;

        g_assert(tries->vfs->len > 0);
        g_assert(tries->vfs->len == tries->failed + tries->in_use);

        if (more > 0)
                g_string_append_printf(tries->words, " (and %u more in use)", more);
        if (tries->vfs->len == 1)
                r = vgpud_error_set_errnof(reterr, tries->code, -tries->errnum, "%s", tries->words->str);
        else
                r = vgpud_error_set_errnof(reterr, tries->code, -tries->errnum,
                                           "none of %u VFs of GPU %s can be handed out: %s", tries->vfs->len,
                                           t->facts->name, tries->words->str);

        explain_copy_hint(&tries->hint, reterr);

        return r;
}

static int sriov_take_named(VgpuTarget *t, const CreateArgs *args, const VgpuVf **ret, VfState *ret_state,
                            VgpudError *reterr)
{
        _cleanup_(vf_bound_done) VfBound bound = { .t = t };
        int r;

        *ret = gpu_facts_find_vf(t->facts, args->parent);
        if (!*ret)
                return explain_no_vf(t->facts, args->parent, reterr);

        r = vf_state_read_or_explain(t, *ret, ret_state, reterr);
        if (r < 0)
                return r;

        if (vf_bound_is_free(&bound, *ret, ret_state))
                return vf_bound_refuse(&bound, *ret, ret_state, reterr);
        if (vf_state_is_handed_out(ret_state))
                return vf_refuse_taken(t, *ret, ret_state, reterr);

        return vf_state_is_reserved(ret_state) ? vf_refuse_reserved(t, *ret, ret_state, reterr) : 0;
}

/* Find the best VF that another program bound. NULL: none may be handed out. */
static const VgpuVf *sriov_choose_bound(VgpuTarget *t, const VfProvider *p, const CreateArgs *args,
                                        const Tries *tries)
{
        _cleanup_(vf_bound_done) VfBound bound = { .t = t };
        const VgpuVf *best = NULL;

        for (guint i = 0; t->take_bound && i < t->facts->vfs->len; i++) {
                const VgpuVf *vf = t->facts->vfs->pdata[i];
                _cleanup_(vf_state_done) VfState state = { 0 };

                if (sriov_was_tried(tries, vf) || vf_state_read(t->io, vf->path, &state) < 0 ||
                    !vf_bound_is_free(&bound, vf, &state) || vf_bound_refuse(&bound, vf, &state, NULL) < 0)
                        continue;

                if (!args->attributes || args->attributes->len == 0 ||
                    vf_quota_has(t, p, vf->index, args->attributes))
                        return vf;

                best = best ? best : vf;
        }

        return best;
}

static int sriov_choose_vf(VgpuTarget *t, const VfProvider *p, const CreateArgs *args, const Tries *tries,
                           const VgpuVf **ret, VfState *ret_state, VgpudError *reterr)
{
        const GPtrArray *vfs = t->facts->vfs;
        guint best_at = 0;
        int best = 0;

        if (args->parent)
                return sriov_take_named(t, args, ret, ret_state, reterr);

        /* Start behind the VF that the job took last: most VFs before that VF are taken. */
        for (guint i = 0; i < vfs->len && best < RATE_MAX; i++) {
                guint at = (t->parent_hint + i) % vfs->len;
                int rate = sriov_was_tried(tries, vfs->pdata[at]) ? 0
                                                                  : sriov_rate_vf(t, p, args, vfs->pdata[at]);

                if (rate > best) {
                        best = rate;
                        best_at = at;
                }
        }

        if (best > 0) {
                g_assert(best_at < vfs->len);
                t->parent_hint = best_at + 1;
        }

        *ret = best > 0 ? vfs->pdata[best_at] : sriov_choose_bound(t, p, args, tries);
        if (!*ret)
                return tries->vfs->len > 0 ? sriov_explain_tries(t, tries, reterr)
                                           : sriov_explain_none_free(t, reterr);

        return vf_state_read_or_explain(t, *ret, ret_state, reterr);
}

/* Unbind the VF first: quotas are not written while a driver of the host is bound. */
static int sriov_provision(VfCreate *c, VgpudError *reterr)
{
        int r;

        if (!c->args->attributes || c->args->attributes->len == 0)
                return 0;

        r = vf_create_bind(c, NULL, reterr);

        return r < 0 ? r : vf_quota_write(c->t, c->userdata, c->vf, c->args->attributes, reterr);
}

static int sriov_prepare(VfCreate *c, VgpudError *reterr)
{
        if (c->args->attributes && c->args->attributes->len > 0)
                c->was.quotas = vf_quota_save(c->t, c->userdata, c->vf->index, c->args->attributes);
        return 0;
}

static int sriov_undo_create(VfCreate *c, VgpudError *reterr)
{
        return sriov_put_back(c->t, c->userdata, c->vf, &c->was, reterr);
}

static const VfCreateOps sriov_create_ops = {
        .read_instance = sriov_read_instance,
        .prepare = sriov_prepare,
        .provision = sriov_provision,
        .put_back = sriov_undo_create,
};

/* Try one VF after the other while the error concerns a single VF. VFs in use do not count towards
 * TRIES_MAX, because they were not written to. */
static int sriov_create_any(VfCreate *c, InstanceDesc **ret, VgpudError *reterr)
{
        _cleanup_(sriov_tries_done) Tries tries = { .vfs = g_ptr_array_new(), .words = g_string_new(NULL) };

        for (;;) {
                _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;
                int r;

                vf_create_done(c);

                r = sriov_choose_vf(c->t, c->userdata, c->args, &tries, &c->vf, &c->was.state, reterr);
                if (r < 0)
                        return r;

                r = vf_create_run(c, ret, &e);
                if (r >= 0)
                        return 0;

                if ((!c->vf_failed && !c->vf_in_use) || c->args->parent) {
                        vgpud_error_move(reterr, &e);
                        return r;
                }

                vgpud_error_require(&e);
                sriov_tries_add(&tries, c->vf, c->vf_in_use, &e);
                if (tries.failed == TRIES_MAX)
                        return sriov_explain_tries(c->t, &tries, reterr);
        }
}

static int sriov_create(VgpuTarget *t, const CreateArgs *args, InstanceDesc **ret, VgpudError *reterr)
{
        const VfProvider *p = sriov_find_provider(t->facts);
        _cleanup_(vf_create_done)
                        VfCreate c = { .ops = &sriov_create_ops, .userdata = (void *)p, .t = t, .args = args };
        int r = sriov_check_args(t, p, args, reterr);

        return r < 0 ? r : sriov_create_any(&c, ret, reterr);
}

/* ---- destroy ---- */

static int sriov_destroy(VgpuTarget *t, const InstanceDesc *instance, VgpudError *reterr)
{
        _cleanup_vgpud_error_ VgpudError cause = VGPUD_ERROR_INIT;
        _cleanup_(vf_restore_done) VfRestore was = { 0 };
        VgpuVf vf;
        int r = vf_find_handed_out(t, instance, &vf, reterr);

        if (r <= 0)
                return r;

        vf_restore_from_text(t->io, instance->restore, &was);
        /* Quotas are found by the index of the VF. If the index is unknown, they cannot be restored. */
        if (vf.index == UINT32_MAX)
                g_ptr_array_set_size(was.quotas, 0);
        r = sriov_put_back(t, sriov_find_provider(t->facts), &vf, &was, &cause);
        r = vf_explain_destroy(t, &vf, r, &cause, reterr);

        return r < 0 ? r : 1;
}

static int sriov_finish_interrupted(VgpuTarget *t, const char *slot, const char *restore, VgpudError *reterr)
{
        _cleanup_(vf_restore_done) VfRestore was = { 0 };
        const VgpuVf *vf = vf_find_interrupted(t, slot, restore, &was);

        if (!vf)
                return vf_bound_is_returned(t, slot, restore);

        return sriov_put_back(t, sriov_find_provider(t->facts), vf, &was, reterr);
}

static int sriov_configure(VgpuTarget *t, const char *mode, const char *value, VgpudError *reterr)
{
        const VfProvider *p = sriov_find_provider(t->facts);

        if (p && p->configure)
                return p->configure(t, mode, value, reterr);

        return vgpud_error_setf(reterr, VGPUD_ERROR_UNSUPPORTED, "GPU %s has no modes to set", t->facts->name);
}

static int sriov_set_vfs(VgpuTarget *t, uint32_t count, uint32_t *ret, VgpudError *reterr)
{
        return vfs_set(t, sriov_find_method(t->facts), count, ret, reterr);
}

const VgpuDriver sriov_driver = {
        .name = "sriov",
        .match = sriov_match,
        .scan = sriov_scan,
        .find_instances = sriov_find_instances,
        .create = sriov_create,
        .destroy = sriov_destroy,
        .set_vfs = sriov_set_vfs,
        .configure = sriov_configure,
        .finish_interrupted = sriov_finish_interrupted,
        .handover = handover_new_pci,
};
