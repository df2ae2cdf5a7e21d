/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The back end for GPUs and accelerators that are divided by SR-IOV and nothing else. An instance is a virtual
 * function handed out: bound to a driver of VFIO, or reserved for one. It is returned to what it was when it is
 * destroyed. What drivers of the host add (quotas, modes) is in their providers (sriov-provider.h). */

#include <string.h>

#include "drivers-glue/driver.h"
#include "drivers-glue/explain.h"
#include "drivers-glue/pci-ids.h"
#include "drivers-glue/registry.h"
#include "drivers-glue/amd/gim.h"
#include "drivers-glue/intel/i915.h"
#include "drivers-glue/sriov/provider.h"
#include "drivers-glue/sriov/quota.h"
#include "drivers-glue/intel/xe.h"
#include "drivers-glue/vf/create.h"
#include "drivers-glue/vf/handout.h"
#include "drivers-glue/vf/bind.h"
#include "drivers-glue/vf/count.h"

#define TYPE_PLAIN   "vf"
#define TYPE_PROFILE "vf-profile"

static const VfProvider *const providers[] = {
        &xe_provider,       &i915_provider,       &gim_provider,
        &xe_plain_provider, &i915_plain_provider, &gim_plain_provider,
};

static const VfProvider *find_provider(const GpuFacts *facts)
{
        for (size_t i = 0; i < G_N_ELEMENTS(providers); i++)
                if (providers[i]->match(facts))
                        return providers[i];
        return NULL;
}

static const VfMethod *find_method(const GpuFacts *facts)
{
        const VfProvider *p = find_provider(facts);

        return p ? p->method : NULL;
}

/* ---- match ---- */

static bool names_contain(const char *const *names, size_t n, const char *name)
{
        for (size_t i = 0; i < n; i++)
                if (g_strcmp0(names[i], name) == 0)
                        return true;
        return false;
}

/* Drivers that cannot enable virtual functions of a GPU, or whose functions are of no use without more. */
static bool driver_can(const GpuFacts *f)
{
        static const char *const cannot[] = { "amdgpu",    "ast",    "mgag200", "nouveau",
                                              "nova-core", "nvidia", "radeon" };

        if (!f->driver || names_contain(cannot, G_N_ELEMENTS(cannot), f->driver) ||
            vfs_driver_is_stub(f->driver) || vfs_driver_is_vfio(f->driver))
                return false;
        /* Its sriov-manage lends the GPU to pci-pf-stub for some seconds. */
        if (f->vendor == PCI_VENDOR_NVIDIA)
                return false;
        /* As it is in Linux i915 leaves the capability alone; Intel's own has an administration for it. */
        if (strcmp(f->driver, "i915") == 0)
                return (f->features & VGPU_FEATURE_I915_IOV) || f->enabled_vfs > 0;
        return true;
}

static VgpuMatch sriov_match(const GpuFacts *f)
{
        bool wanted = f->class >> 16 == 0x03 || f->class >> 16 == 0x12 || (f->features & VGPU_FEATURE_ADMITTED);

        return f->is_pci && f->total_vfs > 0 && wanted && driver_can(f) ? VGPU_MATCH_PLAIN : VGPU_MATCH_NO;
}

static int sriov_read_instance(VgpuTarget *t, const VgpuVf *vf, VfState *s, InstanceDesc **ret)
{
        const VfProvider *p = find_provider(t->facts);
        int r = vf_read_instance(t, vf, s, TYPE_PLAIN, ret);

        if (r < 0)
                return r;

        /* A VF with quotas set by hand looks like one with the share that the driver gave it. */
        (*ret)->type_guessed = p && p->n_quotas > 0;
        (*ret)->attributes = vf_quota_read_all(t, p, vf->index);
        return 0;
}

static uint64_t sriov_read_framebuffer(VgpuTarget *t, const VgpuVf *vf)
{
        return vf_quota_read_framebuffer(t, find_provider(t->facts), vf->index);
}

/* ---- scan ---- */

static int sriov_scan(VgpuTarget *t, GpuSnapshot **ret, VgpudError *reterr)
{
        _cleanup_(gpu_snapshot_unrefp) GpuSnapshot *snapshot = gpu_snapshot_new();
        const VfProvider *p = find_provider(t->facts);
        const VfScan scan = { find_method(t->facts), sriov_read_instance, sriov_read_framebuffer };
        GPtrArray *options;
        VfCount count = { 0 };
        int r;

        r = vf_scan(t, &scan, snapshot, &count, reterr);
        if (r < 0)
                return r;

        g_ptr_array_add(snapshot->types, vf_type_new(t->facts, scan.method, TYPE_PLAIN,
                                                     "a virtual function as the driver makes it", &count,
                                                     snapshot->unprepared, NULL));
        options = vf_quota_options(t, p);
        if (options)
                g_ptr_array_add(snapshot->types, vf_type_new(t->facts, scan.method, TYPE_PROFILE,
                                                             "a virtual function with quotas of your own",
                                                             &count, snapshot->unprepared, options));
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

/* The function is taken from whatever has it, which is refused while somebody uses it. Its driver_override goes
 * last: as long as that names a driver of VFIO, or the one that it had (vf_find_interrupted()), whoever comes
 * after a crash sees that there is something to put back. A quota that cannot be put back does not keep the
 * rest from it. */
static int put_back(VgpuTarget *t, const VfProvider *p, const VgpuVf *vf, const VfRestore *was,
                    VgpudError *reterr)
{
        _cleanup_vgpud_error_ VgpudError quota = VGPUD_ERROR_INIT;
        _cleanup_(vf_state_done) VfState now = { 0 };
        int r, q = 0;

        if (was->quotas && was->quotas->len > 0) {
                r = vf_state_read_or_explain(t, vf, &now, reterr);
                if (r < 0)
                        return r;
                r = vfs_bind(t->io, vf, NULL, now.override, reterr);
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

static int check_args(VgpuTarget *t, const VfProvider *p, const CreateArgs *args, VgpudError *reterr)
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
        if (profile || strcmp(args->type_id, TYPE_PLAIN) != 0)
                return vgpud_error_setf(reterr, VGPUD_ERROR_NO_SUCH_TYPE,
                                        "there is no type \"%s\"; GPU %s offers " TYPE_PLAIN
                                        " (a plain virtual function)%s",
                                        args->type_id, t->facts->name,
                                        p && p->n_quotas > 0 && !profile ? " and " TYPE_PROFILE
                                                                           " (one with quotas)"
                                                                         : "");
        if (args->attributes && args->attributes->len > 0)
                return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID, "type " TYPE_PLAIN " takes no options%s",
                                        p && p->n_quotas > 0 ? "; " TYPE_PROFILE " does" : "");
        return 0;
}

static int none_free(VgpuTarget *t, VgpudError *reterr)
{
        _cleanup_(gpu_snapshot_unrefp) GpuSnapshot *s = NULL;
        int r = sriov_scan(t, &s, reterr);

        if (r < 0)
                return r;
        return vf_explain_none_free(t, gpu_snapshot_find_type(s, TYPE_PLAIN, NULL), reterr);
}

/* How well a function fits: 0 not at all, because it is taken or cannot be read. One that no driver has is
 * better than one that a driver of the host has, which is there for virtual machines all the same unless
 * somebody has reserved it or uses it; and best is one that has the quotas already, because a driver may refuse
 * to change them. */
static int rate_vf(VgpuTarget *t, const VfProvider *p, const CreateArgs *args, const VgpuVf *vf)
{
        _cleanup_(vf_state_done) VfState state = { 0 };
        bool options = args->attributes && args->attributes->len > 0;

        if (vf_state_read(t->io, vf->path, &state) < 0 || vf_state_is_handed_out(&state) ||
            vf_state_is_reserved(&state))
                return 0;
        return (state.driver ? 1 : 2) + (!options || vf_quota_has(t, p, vf->index, args->attributes) ? 2 : 0);
}
#define RATE_MAX 4

/* So many fail at most for one create(), and of so many that are in use it is said. */
#define TRIES_MAX 3

/* What was tried for one create(), where the fault was the function's. */
typedef struct Tries {
        GPtrArray *vfs;      /* owned: VgpuVf, borrowed */
        guint failed;        /* so many of them were written to … */
        guint in_use;        /* … and so many not, because somebody uses them */
        GString *words;      /* owned; what each said */
        VgpudErrorCode code; /* of all; FAILED when they differ */
        int errnum;          /* of the first */
} Tries;

static void tries_done(Tries *tries)
{
        g_ptr_array_unref(tries->vfs);
        (void)g_string_free(tries->words, TRUE);
}

static bool was_tried(const Tries *tries, const VgpuVf *vf)
{
        for (guint i = 0; i < tries->vfs->len; i++)
                if (tries->vfs->pdata[i] == vf)
                        return true;
        return false;
}

static void tries_add(Tries *tries, const VgpuVf *vf, bool in_use, const VgpudError *e)
{
        if (tries->vfs->len == 0) {
                tries->code = e->code;
                tries->errnum = e->errnum;
        } else if (tries->code != e->code)
                tries->code = VGPUD_ERROR_FAILED;
        if (!in_use || tries->in_use < TRIES_MAX)
                g_string_append_printf(tries->words, "%s%s", tries->vfs->len > 0 ? "; " : "", e->message);
        tries->failed += !in_use;
        tries->in_use += in_use;
        g_ptr_array_add(tries->vfs, (VgpuVf *)vf);
}

static int explain_tries(const VgpuTarget *t, const Tries *tries, VgpudError *reterr)
{
        guint more = tries->in_use > TRIES_MAX ? tries->in_use - TRIES_MAX : 0;

        if (tries->vfs->len == 1)
                return vgpud_error_set_errnof(reterr, tries->code, -tries->errnum, "%s", tries->words->str);
        if (more > 0)
                g_string_append_printf(tries->words, " (%u more %s in use)", more, more > 1 ? "are" : "is");
        return vgpud_error_set_errnof(
                        reterr, tries->code, -tries->errnum,
                        "%u virtual functions of GPU %s were tried, and none could be handed out: %s",
                        tries->vfs->len, t->facts->name, tries->words->str);
}

static int take_named(VgpuTarget *t, const CreateArgs *args, const VgpuVf **ret, VfState *ret_state,
                      VgpudError *reterr)
{
        int r;

        *ret = gpu_facts_find_vf(t->facts, args->parent);
        if (!*ret)
                return explain_no_vf(t->facts, args->parent, reterr);
        r = vf_state_read_or_explain(t, *ret, ret_state, reterr);
        if (r < 0)
                return r;
        if (vf_state_is_handed_out(ret_state))
                return vf_refuse_taken(t, *ret, ret_state, reterr);
        return vf_state_is_reserved(ret_state) ? vf_refuse_reserved(t, *ret, ret_state, reterr) : 0;
}

static int choose_vf(VgpuTarget *t, const VfProvider *p, const CreateArgs *args, const Tries *tries,
                     const VgpuVf **ret, VfState *ret_state, VgpudError *reterr)
{
        const GPtrArray *vfs = t->facts->vfs;
        guint best_at = 0;
        int best = 0;

        if (args->parent)
                return take_named(t, args, ret, ret_state, reterr);
        /* From where the last one of the same job was found on: those before are taken. */
        for (guint i = 0; i < vfs->len && best < RATE_MAX; i++) {
                guint at = (t->parent_hint + i) % vfs->len;
                int rate = was_tried(tries, vfs->pdata[at]) ? 0 : rate_vf(t, p, args, vfs->pdata[at]);

                if (rate > best) {
                        best = rate;
                        best_at = at;
                }
        }
        if (best == 0)
                return tries->vfs->len > 0 ? explain_tries(t, tries, reterr) : none_free(t, reterr);
        t->parent_hint = best_at + 1;
        *ret = vfs->pdata[best_at];
        return vf_state_read_or_explain(t, *ret, ret_state, reterr);
}

/* Quotas are not written while a driver of the host has the VF. */
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
        return put_back(c->t, c->userdata, c->vf, &c->was, reterr);
}

static const VfCreateOps create_ops = {
        .read_instance = sriov_read_instance,
        .prepare = sriov_prepare,
        .provision = sriov_provision,
        .put_back = sriov_undo_create,
};

/* Try one VF after the other while the error is that of a single VF. VFs in use do not count as tries: nothing
 * was written to them. */
static int create_any(VfCreate *c, InstanceDesc **ret, VgpudError *reterr)
{
        _cleanup_(tries_done) Tries tries = { .vfs = g_ptr_array_new(), .words = g_string_new(NULL) };

        for (;;) {
                _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;
                int r;

                vf_create_done(c);
                r = choose_vf(c->t, c->userdata, c->args, &tries, &c->vf, &c->was.state, reterr);
                if (r < 0)
                        return r;
                r = vf_create_run(c, ret, &e);
                if (r >= 0)
                        return 0;
                if ((!c->vf_failed && !c->vf_in_use) || c->args->parent) {
                        vgpud_error_move(reterr, &e);
                        return r;
                }

                tries_add(&tries, c->vf, c->vf_in_use, &e);
                if (tries.failed == TRIES_MAX)
                        return explain_tries(c->t, &tries, reterr);
        }
}

static int sriov_create(VgpuTarget *t, const CreateArgs *args, InstanceDesc **ret, VgpudError *reterr)
{
        const VfProvider *p = find_provider(t->facts);
        _cleanup_(vf_create_done)
                        VfCreate c = { .ops = &create_ops, .userdata = (void *)p, .t = t, .args = args };
        int r = check_args(t, p, args, reterr);

        return r < 0 ? r : create_any(&c, ret, reterr);
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
        /* Whose number is not known has no quotas either. */
        if (vf.index == UINT32_MAX)
                g_ptr_array_set_size(was.quotas, 0);
        r = put_back(t, find_provider(t->facts), &vf, &was, &cause);
        r = vf_explain_destroy(t, &vf, r, &cause, reterr);
        return r < 0 ? r : 1;
}

static int sriov_settle(VgpuTarget *t, const char *slot, const char *restore, VgpudError *reterr)
{
        _cleanup_(vf_restore_done) VfRestore was = { 0 };
        const VgpuVf *vf = vf_find_interrupted(t, slot, restore, &was);

        return vf ? put_back(t, find_provider(t->facts), vf, &was, reterr) : 0;
}

static int sriov_configure(VgpuTarget *t, const char *mode, const char *value, VgpudError *reterr)
{
        const VfProvider *p = find_provider(t->facts);

        if (p && p->configure)
                return p->configure(t, mode, value, reterr);
        return vgpud_error_setf(reterr, VGPUD_ERROR_UNSUPPORTED, "GPU %s has no modes that could be set",
                                t->facts->name);
}

static int sriov_set_vfs(VgpuTarget *t, uint32_t count, uint32_t *ret, VgpudError *reterr)
{
        return vfs_set(t, find_method(t->facts), count, ret, reterr);
}

const VgpuDriver sriov_driver = {
        .name = "sriov",
        .match = sriov_match,
        .scan = sriov_scan,
        .create = sriov_create,
        .destroy = sriov_destroy,
        .set_vfs = sriov_set_vfs,
        .configure = sriov_configure,
        .finish_interrupted = sriov_settle,
        .handover = handover_new_pci,
};
