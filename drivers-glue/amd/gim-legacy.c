/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The back end for AMD's first driver gim (MxGPU: FirePro S7150 and similar). The VFs exist as soon as gim is
 * loaded. A write of three numbers to the file "getvf" of the GPU allocates a VF and its share: offset and size
 * of its memory in MB, and the divider of the computing time; three zeros stand for an equal share. A write of
 * the name of the VF to "relvf" releases it. An instance is an allocated VF that is bound to a driver of VFIO.
 *
 * A write to these files always succeeds; a sentence in the same file is the answer. Until the answer is read,
 * or for three seconds, gim makes all other requests wait.
 *
 * gim allocates the first free VF, so vgpud can only guess the VF. The guess is reserved by driver_override
 * before the request, as a mark of a half-made instance. The answer is recorded at once. A reserved VF without
 * a recorded answer may be allocated to another program that has not bound it yet. vgpud does not release such
 * a VF: if two VMs then got the same VF, the damage could not be repaired. If no program has the VF, gim still
 * counts it as allocated: vgpud reports this, and the administrator can release the VF.
 *
 * vgpud opens neither "gpuvf" of the GPU nor "hotlink_reset". After a request of three zeros, a read of
 * "gpuvf" divides by zero in the kernel ("gpuvf" of a VF is safe). "hotlink_reset" resets the GPU. */

#include <inttypes.h>
#include <string.h>

#include "base/parse-util.h"
#include "drivers-glue/driver.h"
#include "drivers-glue/explain.h"
#include "drivers-glue/amd/gim-legacy-ask.h"
#include "drivers-glue/registry.h"
#include "drivers-glue/amd/gim.h"
#include "drivers-glue/amd/gim-legacy-share.h"
#include "drivers-glue/vf/create.h"
#include "drivers-glue/vf/return.h"
#include "drivers-glue/vf/bind.h"
#include "drivers-glue/vf/count.h"

/* A word of InstanceDesc.restore: gim has allocated the VF for vgpud. */
#define GIVEN "gim=given"

static VgpuMatch gim_legacy_match(const GpuFacts *f)
{
        return f->is_pci && (f->features & VGPU_FEATURE_GIM_LEGACY) ? VGPU_MATCH_VENDOR : VGPU_MATCH_NO;
}

/* ---- one VF ---- */

typedef struct GimVfInfo {
        bool active;      /* a guest has loaded its driver */
        uint32_t size_mb; /* 0: unknown */
} GimVfInfo;

/* Parse the "KEY:VALUE" lines of gim about a VF. The result is empty if the file cannot be read. */
static GimVfInfo gim_legacy_read_info(VgpuIo *io, const VgpuVf *vf)
{
        g_autofree char *text = NULL;
        GimVfInfo info = { 0 };

        if (vgpu_io_readf(io, &text, "%s/gpuvf", vf->path) < 0)
                return info;

        g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
        for (char **l = lines; *l; l++) {
                char *line = g_strstrip(*l);
                const char *size = line + strlen("VF FB Size:");

                if (strcmp(line, "vGPU State:Active") == 0)
                        info.active = true;
                else if (g_str_has_prefix(line, "VF FB Size:") && g_str_has_suffix(line, " M")) {
                        line[strlen(line) - strlen(" M")] = 0;
                        if (parse_u32(size, 10, &info.size_mb) < 0)
                                info.size_mb = 0;
                }
        }

        return info;
}

static int gim_legacy_read_instance(VgpuTarget *t, const VgpuVf *vf, VfState *s, InstanceDesc **ret)
{
        GimVfInfo info;
        int r = vf_read_instance(t, vf, s, GIM_SHARE_TYPE, ret);

        if (r < 0)
                return r;

        info = gim_legacy_read_info(t->io, vf);
        if (info.size_mb > 0) {
                g_autofree char *size = g_strdup_printf("%" PRIu32 "M", info.size_mb);

                (*ret)->attributes = vgpu_attributes_new();
                g_ptr_array_add((*ret)->attributes, vgpu_attribute_new("fb_size", size));
                (*ret)->memory_bytes = (uint64_t)info.size_mb << 20;
        }

        return 0;
}

static uint64_t gim_legacy_read_framebuffer(VgpuTarget *t, const VgpuVf *vf)
{
        return (uint64_t)gim_legacy_read_info(t->io, vf).size_mb << 20;
}

/* ---- scan ---- */

static int gim_legacy_scan(VgpuTarget *t, GpuSnapshot **ret, VgpudError *reterr)
{
        _cleanup_(gpu_snapshot_unrefp) GpuSnapshot *snapshot = gpu_snapshot_new();
        const VfScan scan = { &gim_vf_method, gim_legacy_read_instance, gim_legacy_read_framebuffer };
        GPtrArray *type_options;
        VfCount count = { 0 };
        int r;

        r = vf_scan(t, &scan, snapshot, &count, reterr);
        if (r < 0)
                return r;

        type_options = gim_share_options();
        g_ptr_array_add(snapshot->types,
                        vf_type_new(t->facts, &gim_vf_method, GIM_SHARE_TYPE,
                                    "a VF with an equal share of the GPU, or with a share set by options",
                                    &count, snapshot, type_options));
        gpu_snapshot_seal(snapshot);
        *ret = g_steal_pointer(&snapshot);

        return 0;
}

static gint gim_legacy_compare_sizes(gconstpointer a, gconstpointer b)
{
        uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

        return x < y ? -1 : x > y;
}

/* The most frequent size, the smallest of equally frequent ones; 0 if there is none. */
static uint32_t gim_legacy_find_usual_size(GArray *sizes)
{
        uint32_t usual = 0;
        guint longest = 0, run = 0;

        g_assert(g_array_get_element_size(sizes) == sizeof(uint32_t));

        g_array_sort(sizes, gim_legacy_compare_sizes);

        for (guint i = 0; i < sizes->len; i++) {
                uint32_t size = g_array_index(sizes, uint32_t, i);

                run = i > 0 && size == g_array_index(sizes, uint32_t, i - 1) ? run + 1 : 1;
                if (run > longest) {
                        longest = run;
                        usual = size;
                }
        }

        return usual;
}

static int gim_legacy_explain_unknown_size(const VgpuVf *vf, VgpudError *reterr)
{
        int r = vgpud_error_setf(
                        reterr, VGPUD_ERROR_UNSUPPORTED,
                        "the memory of VF %s cannot be read from /sys/%s/gpuvf, so no piece of memory is known to be free",
                        vf->name, vf->path);

        vgpud_error_hintf(reterr, VGPUD_HINT_CHOOSE_OTHER, "leave out the options to get an equal share");

        return r;
}

static int gim_legacy_explain_nested(VgpuTarget *t, const GimShare *w, uint32_t largest, bool equal,
                                     VgpudError *reterr)
{
        int r = vgpud_error_setf(reterr, VGPUD_ERROR_NO_CAPACITY,
                                 "the requested %" PRIu32 " MB could lie within the %" PRIu32
                                 " MB of another VF of GPU %s",
                                 w->size_mb, largest, t->facts->name);

        if (equal)
                vgpud_error_hintf(
                                reterr, VGPUD_HINT_DESTROY_INSTANCE,
                                "leave out the options to get an equal share, or destroy the instances with equal shares");
        else
                vgpud_error_hintf(reterr, VGPUD_HINT_CHOOSE_OTHER,
                                  "request at least %" PRIu32 " MB, and create small instances first", largest);

        return r;
}

/* gim only compares the ends of two pieces of memory: a piece within another goes unnoticed, and two guests
 * would share memory. A new piece must therefore be at least as large as all others. All VFs that gim has not
 * allocated have one size. An unbound VF of another size was therefore allocated by another program. */
static int gim_legacy_refuse_nested(VgpuTarget *t, const GimShare *w, VgpudError *reterr)
{
        g_autoptr(GArray) idle = g_array_new(FALSE, FALSE, sizeof(uint32_t));
        g_autoptr(GArray) taken = g_array_new(FALSE, FALSE, sizeof(uint32_t));
        uint32_t usual, largest = 0;

        g_assert(w->size_mb >= GIM_SHARE_MIN_MB);

        for (guint i = 0; i < t->facts->vfs->len; i++) {
                _cleanup_(vf_state_done) VfState s = { 0 };
                const VgpuVf *vf = t->facts->vfs->pdata[i];
                uint32_t size = gim_legacy_read_info(t->io, vf).size_mb;
                int r = vf_state_read(t->io, vf->path, &s);

                if (vgpu_io_is_gone(r))
                        return explain_gpu_gone(t->facts, r, reterr);

                if (size == 0)
                        return gim_legacy_explain_unknown_size(vf, reterr);

                /* A VF whose driver cannot be read may be in use. */
                g_array_append_val(*(r < 0 || vf_state_is_handed_out(&s) ? &taken : &idle), size);
        }

        usual = gim_legacy_find_usual_size(idle);
        for (guint i = 0; i < taken->len; i++)
                largest = MAX(largest, g_array_index(taken, uint32_t, i));
        for (guint i = 0; i < idle->len; i++)
                if (g_array_index(idle, uint32_t, i) != usual)
                        largest = MAX(largest, g_array_index(idle, uint32_t, i));

        if (w->size_mb >= largest)
                return 0;

        return gim_legacy_explain_nested(t, w, largest, largest == usual, reterr);
}

static int gim_legacy_explain_none_free(VgpuTarget *t, VgpudError *reterr)
{
        _cleanup_(gpu_snapshot_unrefp) GpuSnapshot *s = NULL;
        int r = gim_legacy_scan(t, &s, reterr);

        if (r < 0)
                return r;

        return vf_explain_none_free(t, s->types->pdata[0], reterr);
}

/* Guess the VF that gim will allocate: the first free VF. Skip a VF that cannot be read, because it may be
 * taken. If gim allocates the unreadable VF nevertheless, create() releases it again. */
static int gim_legacy_guess_vf(VgpuTarget *t, const CreateArgs *args, const VgpuVf **ret, VfState *ret_state,
                               VgpudError *reterr)
{
        for (guint i = 0; i < t->facts->vfs->len; i++) {
                const VgpuVf *vf = t->facts->vfs->pdata[i];
                int r = vf_state_read(t->io, vf->path, ret_state);

                if (vgpu_io_is_gone(r))
                        return explain_gpu_gone(t->facts, r, reterr);

                if (r < 0 || vf_state_is_handed_out(ret_state) || vf_state_is_reserved(ret_state))
                        continue;

                if (args->parent && strcmp(args->parent, vf->name) != 0) {
                        r = vgpud_error_setf(reterr, VGPUD_ERROR_INVALID,
                                             "VF %s cannot be requested: driver gim allocates %s next",
                                             args->parent, vf->name);
                        vgpud_error_hintf(reterr, VGPUD_HINT_CHOOSE_OTHER, "name no VF, or %s", vf->name);

                        return r;
                }

                *ret = vf;
                return 0;
        }

        return gim_legacy_explain_none_free(t, reterr);
}

/* ---- create: allocation by gim ---- */

/* Unbind the VF (refused while a program uses it), release it to gim, and restore its state. If gim has not
 * allocated the VF (`allocated`), only restore its state. Restore driver_override last, because it marks an
 * interrupted return (vf_find_interrupted()). */
static int gim_legacy_put_back(VgpuTarget *t, const VgpuVf *vf, const VfState *was, bool allocated,
                               VgpudError *reterr)
{
        _cleanup_(vf_state_done) VfState now = { 0 };
        int r;

        if (allocated) {
                r = vf_state_read_or_explain(t, vf, &now, reterr);
                if (r < 0)
                        return r;

                if (now.driver && !now.override) {
                        r = vfs_bind(t->io, vf, now.driver, now.driver, reterr);
                        if (r < 0)
                                return r;
                }

                r = vfs_bind_from(t->io, vf, vfs_driver_is_vfio(now.driver) ? now.driver : was->driver, NULL,
                                  now.override ? now.override : now.driver, reterr);
                if (r < 0)
                        return r;

                r = gim_legacy_release(t, vf, reterr);
                if (r < 0)
                        return r;
        }

        return vf_return(t, vf, was, reterr);
}

/* The type of VfCreate.userdata in this back end. */
typedef struct Request {
        GimShare share;
        bool allocated;      /* gim has allocated c->vf */
        const VgpuVf *doubt; /* the VF that gim may have allocated, if its answer was lost */
} Request;

static void gim_legacy_hint_release(const VgpuTarget *t, const VgpuVf *vf, VgpudError *reterr)
{
        vgpud_error_hintf(reterr, VGPUD_HINT_RELEASE_VF,
                          "if no other program uses VF %s, release it: echo %s >/sys/%s/relvf", vf->name,
                          vf->name, t->facts->path);
}

/* The answer of gim is lost: gim may have allocated the VF for vgpud, or for another program. */
static int gim_legacy_explain_doubt(VfCreate *c, int r, const VgpudError *again, VgpudError *cause,
                                    VgpudError *reterr)
{
        const VgpuTarget *t = c->t;
        const GpuFacts *f = t->facts;
        const Request *req = c->userdata;

        g_assert(req->doubt);
        vgpud_error_require(cause);
        r = vgpud_error_set_errnof(reterr, VGPUD_ERROR_INCONSISTENT, cause->errnum > 0 ? -cause->errnum : r,
                                   "%s; gim may still hold VF %s of GPU %s as allocated%s%s", cause->message,
                                   req->doubt->name, f->name,
                                   r < 0 ? "; the reserved VF cannot be restored: " : "",
                                   r < 0 ? again->message : "");
        gim_legacy_hint_release(t, req->doubt, reterr);
        vgpud_error_done(cause);

        return r;
}

static int gim_legacy_undo_create(VfCreate *c, VgpudError *reterr)
{
        const Request *req = c->userdata;

        return gim_legacy_put_back(c->t, c->vf, &c->was.state, req->allocated, reterr);
}

static int gim_legacy_explain_undo(VfCreate *c, int r, const VgpudError *again, VgpudError *cause,
                                   VgpudError *reterr)
{
        const Request *req = c->userdata;

        g_assert(!req->doubt || !req->allocated);

        return req->doubt ? gim_legacy_explain_doubt(c, r, again, cause, reterr)
                          : vf_explain_undo(c->vf, r, again, cause, reterr);
}

/* The record of a VF that gim has allocated. */
static char *gim_legacy_restore_to_text(const VfRestore *was)
{
        g_autofree char *text = vf_restore_to_text(was);

        return g_strconcat(text, text[0] ? " " : "", GIVEN, NULL);
}

static bool gim_legacy_was_given(const char *restore)
{
        g_auto(GStrv) words = g_strsplit(restore ? restore : "", " ", -1);

        return g_strv_contains((const char *const *)words, GIVEN);
}

static int gim_legacy_record_given(VfCreate *c, VgpudError *reterr)
{
        Request *req = c->userdata;

        g_assert(!req->allocated);

        req->allocated = true;
        g_free(c->restore_text);
        c->restore_text = gim_legacy_restore_to_text(&c->was);

        return vf_reserve(c->args, c->vf, c->restore_text, reterr);
}

static int gim_legacy_explain_bound(VgpuTarget *t, const VgpuVf *vf, const VfState *s, VgpudError *reterr)
{
        const char *driver = s->override ? s->override : s->driver;
        int r = vgpud_error_setf(
                        reterr, VGPUD_ERROR_NO_CAPACITY,
                        "driver gim allocated VF %s of GPU %s, but the VF is already bound to or reserved for %s",
                        vf->name, t->facts->name, driver ? driver : "VFIO");

        vgpud_error_hintf(reterr, VGPUD_HINT_STOP_OTHER_TOOL,
                          "unbind VF %s, or allocate it from gim before it is used", vf->name);

        return r;
}

/* gim allocated `vf` instead of the reserved VF, which another program has allocated, but not bound yet. Hand
 * out `vf`. */
static int gim_legacy_change_vf(VfCreate *c, const VgpuVf *vf, VgpudError *reterr)
{
        Request *req = c->userdata;
        _cleanup_vgpud_error_ VgpudError cause = VGPUD_ERROR_INIT;
        _cleanup_(vf_restore_done) VfRestore was = { 0 };
        g_autofree char *text = NULL;
        bool noted = false;
        int r;

        g_assert(vf != c->vf);

        r = vf_state_read_or_explain(c->t, vf, &was.state, &cause);
        if (cause.code == VGPUD_ERROR_FAILED ||
            (r >= 0 && (vf_state_is_handed_out(&was.state) || vf_state_is_reserved(&was.state)))) {
                if (r >= 0)
                        (void)gim_legacy_explain_bound(c->t, vf, &was.state, &cause);
                /* The VF is bound, reserved or unreadable: keep its driver, and only tell gim to release it. */
                _cleanup_vgpud_error_ VgpudError again = VGPUD_ERROR_INIT;
                int q = gim_legacy_release(c->t, vf, &again);

                return vf_explain_undo(vf, q, &again, &cause, reterr);
        }

        if (r >= 0)
                r = vfs_bind(c->t->io, vf, was.state.driver, c->driver, &cause);
        if (r >= 0) {
                text = gim_legacy_restore_to_text(&was);
                r = vf_reserve(c->args, vf, text, &cause);
                noted = r >= 0;
        }

        if (r >= 0)
                r = gim_legacy_put_back(c->t, c->vf, &c->was.state, false, &cause);
        if (r < 0) {
                _cleanup_vgpud_error_ VgpudError again = VGPUD_ERROR_INIT;
                int q = vgpu_io_exists(c->t->io, vf->path)
                                        ? gim_legacy_put_back(c->t, vf, &was.state, true, &again)
                                        : 0;

                /* create_undo() restores the guessed VF next. Record that VF again in case the restoration
                 * fails. */
                if (q >= 0 && noted)
                        (void)vf_reserve(c->args, c->vf, c->restore_text, NULL);
                return vf_explain_undo(vf, q, &again, &cause, reterr);
        }

        c->vf = vf;
        req->allocated = true;
        vf_restore_done(&c->was);
        c->was = was;
        was = (VfRestore){ 0 };
        g_free(c->restore_text);
        c->restore_text = g_steal_pointer(&text);

        return 0;
}

/* Find the VF that gim may have allocated although the writer died. The answer may be to an earlier request;
 * if it names no VF, or a VF in use, this request allocated none. */
static const VgpuVf *gim_legacy_find_doubt(const VfCreate *c, const VgpuVf *vf)
{
        _cleanup_(vf_state_done) VfState s = { 0 };

        if (vf && vf != c->vf && vf_state_read(c->t->io, vf->path, &s) >= 0 &&
            (vf_state_is_handed_out(&s) || vf_state_is_reserved(&s)))
                return NULL;

        return vf;
}

static int gim_legacy_provision(VfCreate *c, VgpudError *reterr)
{
        Request *req = c->userdata;
        const GimShare *w = &req->share;
        g_autofree char *line = g_strdup_printf("%" PRIu32 " %" PRIu32 " %" PRIu32, w->offset_mb, w->size_mb,
                                                w->divider);
        g_autofree char *answer = NULL;
        const VgpuVf *vf;
        bool asked;
        int r = gim_legacy_ask(c->t, "getvf", line, &answer, &asked);

        vf = answer ? gpu_facts_find_vf(c->t->facts, answer) : NULL;

        if (r < 0) {
                if (asked)
                        req->doubt = answer ? gim_legacy_find_doubt(c, vf) : c->vf;
                return gim_legacy_explain_errno(c->t, "getvf", r, reterr);
        }

        if (!vf)
                return gim_share_explain_answer(c->t, w, answer, reterr);

        return vf == c->vf ? gim_legacy_record_given(c, reterr) : gim_legacy_change_vf(c, vf, reterr);
}

static int gim_legacy_prepare(VfCreate *c, VgpudError *reterr)
{
        const Request *req = c->userdata;

        return req->share.size_mb > 0 ? gim_legacy_refuse_nested(c->t, &req->share, reterr) : 0;
}

static const VfCreateOps gim_legacy_create_ops = {
        .read_instance = gim_legacy_read_instance,
        .prepare = gim_legacy_prepare,
        .provision = gim_legacy_provision,
        .put_back = gim_legacy_undo_create,
        .explain_undo = gim_legacy_explain_undo,
};

static int gim_legacy_create(VgpuTarget *t, const CreateArgs *args, InstanceDesc **ret, VgpudError *reterr)
{
        Request req = { 0 };
        _cleanup_(vf_create_done)
                        VfCreate c = { .ops = &gim_legacy_create_ops, .userdata = &req, .t = t, .args = args };
        int r = gim_share_read(t, args, &req.share, reterr);

        if (r < 0)
                return r;

        r = gim_legacy_guess_vf(t, args, &c.vf, &c.was.state, reterr);

        return r < 0 ? r : vf_create_run(&c, ret, reterr);
}

/* ---- destroy ---- */

/* IN_USE if the driver of a guest uses the VF; names the process that has the VF open, if any. */
static int gim_legacy_refuse_running(VgpuTarget *t, const VgpuVf *vf, VgpudError *reterr)
{
        _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;
        g_autoptr(GArray) held = vfs_held_groups_new();
        int r;

        if (!gim_legacy_read_info(t->io, vf).active)
                return 0;

        r = vfs_keep_out(t->io, vf->path, held, &e);
        if (r < 0) {
                r = vgpud_error_set_errnof(reterr, VGPUD_ERROR_IN_USE, -e.errnum,
                                           "VF %s is in use by the driver of a guest: %s", vf->name, e.message);
                explain_copy_hint(&e.hint, reterr);

                return r;
        }

        r = vgpud_error_set_errnof(reterr, VGPUD_ERROR_IN_USE, -EBUSY,
                                   "VF %s is in use by the driver of a guest, but no process has it open",
                                   vf->name);
        vgpud_error_hintf(reterr, VGPUD_HINT_STOP_USER,
                          "the VM may have ended without a shutdown: start and shut down the guest");

        return r;
}

/* *ret is true for a VF that is reserved, but neither bound nor recorded as allocated: vgpud was interrupted
 * before it recorded an answer of gim. */
static int gim_legacy_check_doubt(VgpuTarget *t, const VgpuVf *vf, const char *restore, bool *ret,
                                  VgpudError *reterr)
{
        _cleanup_(vf_state_done) VfState now = { 0 };
        int r = vf_state_read_or_explain(t, vf, &now, reterr);

        if (r < 0)
                return r;

        *ret = !now.leaving && !vfs_driver_is_vfio(now.driver) && !gim_legacy_was_given(restore);

        return 0;
}

static int gim_legacy_explain_left(VgpuTarget *t, const VgpuVf *vf, VgpudError *reterr)
{
        int r = vgpud_error_setf(
                        reterr, VGPUD_ERROR_FAILED,
                        "instance destroyed, but gim may still hold VF %s of GPU %s as allocated: vgpud was interrupted before it recorded the reply of gim",
                        vf->name, t->facts->name);

        gim_legacy_hint_release(t, vf, reterr);

        return r;
}

static int gim_legacy_destroy(VgpuTarget *t, const InstanceDesc *instance, VgpudError *reterr)
{
        _cleanup_vgpud_error_ VgpudError cause = VGPUD_ERROR_INIT;
        _cleanup_(vf_restore_done) VfRestore was = { 0 };
        bool doubt = false;
        VgpuVf vf;
        int r = vf_find_handed_out(t, instance, &vf, reterr);

        if (r <= 0)
                return r;
        if ((r = gim_legacy_refuse_running(t, &vf, reterr)) < 0 ||
            (r = gim_legacy_check_doubt(t, &vf, instance->restore, &doubt, reterr)) < 0)
                return r;

        vf_restore_from_text(t->io, instance->restore, &was);
        r = gim_legacy_put_back(t, &vf, &was.state, !doubt, &cause);

        r = vf_explain_destroy(t, &vf, r, &cause, reterr);
        if (r < 0)
                return r;

        return doubt ? gim_legacy_explain_left(t, &vf, reterr) : 1;
}

/* The interrupted destroy() has released the VF to gim already: only driver_override of the VF must be
 * restored. */
static int gim_legacy_finish_interrupted(VgpuTarget *t, const char *slot, const char *restore,
                                         VgpudError *reterr)
{
        _cleanup_(vf_restore_done) VfRestore was = { 0 };
        const VgpuVf *vf = vf_find_interrupted(t, slot, restore, &was);

        return vf ? gim_legacy_put_back(t, vf, &was.state, false, reterr) : 0;
}

static int gim_legacy_set_vfs(VgpuTarget *t, uint32_t count, uint32_t *ret, VgpudError *reterr)
{
        return vfs_set(t, &gim_vf_method, count, ret, reterr);
}

const VgpuDriver gim_legacy_driver = {
        .name = "gim-legacy",
        .match = gim_legacy_match,
        .scan = gim_legacy_scan,
        .create = gim_legacy_create,
        .destroy = gim_legacy_destroy,
        .set_vfs = gim_legacy_set_vfs,
        .finish_interrupted = gim_legacy_finish_interrupted,
        .handover = handover_new_pci,
};
