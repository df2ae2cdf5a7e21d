/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The back end for AMD's first driver gim (MxGPU: FirePro S7150 and its like). Virtual functions are there as
 * soon as it is loaded. Which one a virtual machine may use, and how much of the GPU it has, is asked for by a
 * line of three numbers to the file "getvf" of the GPU (offset and size of its memory in MB, divider of the
 * computing time; three zeros: an equal share); it is given back by its name to "relvf". An instance is a
 * function that was got in this way and bound to a driver of VFIO.
 *
 * A write to these files always succeeds. What came of it is read from the same file, as a sentence; until that
 * is done, or for three seconds, everybody else who asks the driver anything is made to wait.
 *
 * gim gives the first function that is not taken, so that which one it will be is a guess: it is reserved by
 * its driver_override before gim is asked, by which it is known to be ours and half made. That gim gave it is
 * put on record as soon as it has answered. What is reserved without that may be somebody else's at gim, who
 * has not bound it, and is not given back there: the worst is that gim keeps a function taken that nobody has,
 * which is said, for that can be put right by hand, and a function given to two virtual machines can not.
 *
 * What is not touched: "gpuvf" of the GPU, which would show what each function has, because reading it divides
 * by zero in the kernel once a function was got with three zeros ("gpuvf" of a function is all right);
 * "hotlink_reset", which resets the GPU. */

#include <inttypes.h>
#include <string.h>

#include "base/parse-util.h"
#include "drivers-glue/driver.h"
#include "drivers-glue/explain.h"
#include "drivers-glue/amd/gim-legacy-ask.h"
#include "drivers-glue/registry.h"
#include "drivers-glue/amd/gim.h"
#include "drivers-glue/vf/create.h"
#include "drivers-glue/vf/handout.h"
#include "drivers-glue/vf/bind.h"
#include "drivers-glue/vf/count.h"

#define TYPE        "mxgpu"
#define SIZE_MIN_MB 256
#define SIZE_STEP   16
#define DIVIDER_MAX 16
/* A word of InstanceDesc.restore: gim has given the function to us. */
#define GIVEN "gim=given"

static const struct {
        const char *name, *help;
} options[] = {
        { "fb_offset",
          "bytes (K, M, G allowed), whole MB: where its graphics memory begins, behind that of the host; goes "
          "with fb_size and gfx_divider, and with all other functions that are made like this" },
        { "fb_size", "bytes (K, M, G allowed), a multiple of 16M, 256M or more: its graphics memory" },
        { "gfx_divider",
          "1, 2, 4, 8 or 16: into how many parts computing time is divided, of which it gets one" },
};

/* What is asked for: all zero, or none. */
typedef struct Wish {
        uint32_t offset_mb, size_mb, divider;
} Wish;

static VgpuMatch gim_legacy_match(const GpuFacts *f)
{
        return f->is_pci && (f->features & VGPU_FEATURE_GIM_LEGACY) ? VGPU_MATCH_VENDOR : VGPU_MATCH_NO;
}

/* One function */

typedef struct VfInfo {
        bool active;      /* a guest has loaded its driver */
        uint32_t size_mb; /* 0: not known */
} VfInfo;

/* What gim says of a function: "KEY:VALUE" lines. Nothing is known when that cannot be read. */
static VfInfo read_info(VgpuIo *io, const VgpuVf *vf)
{
        g_autofree char *text = NULL;
        VfInfo info = { 0 };

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

DEFINE_DESTROY_NOTIFY(free_attribute, vgpu_attribute_free)
DEFINE_DESTROY_NOTIFY(free_option, vgpu_type_option_free)

static int gim_legacy_read_instance(VgpuTarget *t, const VgpuVf *vf, VfState *s, InstanceDesc **ret)
{
        VfInfo info;
        int r = vf_read_instance(t, vf, s, TYPE, ret);

        if (r < 0)
                return r;
        info = read_info(t->io, vf);
        if (info.size_mb > 0) {
                g_autofree char *size = g_strdup_printf("%" PRIu32 "M", info.size_mb);
                (*ret)->attributes = g_ptr_array_new_with_free_func(free_attribute);
                g_ptr_array_add((*ret)->attributes, vgpu_attribute_new("fb_size", size));
        }
        return 0;
}

static uint64_t gim_legacy_read_framebuffer(VgpuTarget *t, const VgpuVf *vf)
{
        return (uint64_t)read_info(t->io, vf).size_mb << 20;
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

        type_options = g_ptr_array_new_with_free_func(free_option);
        for (size_t i = 0; i < G_N_ELEMENTS(options); i++)
                g_ptr_array_add(type_options, vgpu_type_option_new(options[i].name, options[i].help));
        g_ptr_array_add(snapshot->types,
                        vf_type_new(t->facts, &gim_vf_method, TYPE,
                                    "a virtual function with an equal share of the GPU, or, with options, one "
                                    "of your own",
                                    &count, snapshot->unprepared, type_options));
        gpu_snapshot_seal(snapshot);
        *ret = g_steal_pointer(&snapshot);
        return 0;
}

/* create: what is asked for */

static bool parse_mb(const char *value, uint32_t *ret)
{
        uint64_t bytes;

        if (parse_bytes(value, &bytes) < 0 || bytes == 0 || bytes % (1 << 20) != 0 || bytes >> 20 > INT32_MAX)
                return false;
        *ret = (uint32_t)(bytes >> 20);
        return true;
}

static bool take_option(const VgpuAttribute *a, Wish *w)
{
        if (strcmp(a->name, "fb_offset") == 0)
                return parse_mb(a->value, &w->offset_mb);
        if (strcmp(a->name, "fb_size") == 0)
                return parse_mb(a->value, &w->size_mb) && w->size_mb >= SIZE_MIN_MB &&
                       w->size_mb % SIZE_STEP == 0;
        return strcmp(a->name, "gfx_divider") == 0 && parse_u32(a->value, 10, &w->divider) >= 0 &&
               w->divider > 0 && w->divider <= DIVIDER_MAX && (w->divider & (w->divider - 1)) == 0;
}

static int bad_option(const VgpuAttribute *a, VgpudError *reterr)
{
        for (size_t i = 0; i < G_N_ELEMENTS(options); i++)
                if (strcmp(options[i].name, a->name) == 0)
                        return explain_option(a, options[i].help, reterr);
        return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID,
                                "there is no option %s; there are fb_offset, fb_size and gfx_divider", a->name);
}

static int read_wish(VgpuTarget *t, const CreateArgs *args, Wish *ret, VgpudError *reterr)
{
        int r = create_args_check(args, reterr);

        if (r < 0)
                return r;
        if (strcmp(args->type_id, TYPE) != 0)
                return vgpud_error_setf(reterr, VGPUD_ERROR_NO_SUCH_TYPE,
                                        "there is no type \"%s\"; GPU %s offers " TYPE, args->type_id,
                                        t->facts->name);
        for (guint i = 0; args->attributes && i < args->attributes->len; i++)
                if (!take_option(args->attributes->pdata[i], ret))
                        return bad_option(args->attributes->pdata[i], reterr);
        if ((ret->offset_mb > 0 || ret->size_mb > 0 || ret->divider > 0) &&
            (ret->offset_mb == 0 || ret->size_mb == 0 || ret->divider == 0))
                return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID,
                                        "fb_offset, fb_size and gfx_divider go together: driver gim takes all "
                                        "three, or none for an equal share");
        return 0;
}

static gint compare_sizes(gconstpointer a, gconstpointer b)
{
        uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

        return x < y ? -1 : x > y;
}

/* The size that most have, the smallest of those where several do; 0: there is none. */
static uint32_t usual_size(GArray *sizes)
{
        uint32_t usual = 0;
        guint most = 0, run = 0;

        g_array_sort(sizes, compare_sizes);
        for (guint i = 0; i < sizes->len; i++) {
                uint32_t size = g_array_index(sizes, uint32_t, i);
                run = i > 0 && size == g_array_index(sizes, uint32_t, i - 1) ? run + 1 : 1;
                if (run > most) {
                        most = run;
                        usual = size;
                }
        }
        return usual;
}

/* gim compares where pieces of memory begin and end, and so does not notice one that lies within another: two
 * guests would have the same memory. No piece can lie within a smaller one. Functions that nobody has are all
 * of one size; another size is of a function that somebody else has got. */
static int refuse_smaller(VgpuTarget *t, const Wish *w, VgpudError *reterr)
{
        g_autoptr(GArray) idle = g_array_new(FALSE, FALSE, sizeof(uint32_t));
        g_autoptr(GArray) taken = g_array_new(FALSE, FALSE, sizeof(uint32_t));
        uint32_t usual, largest = 0;

        for (guint i = 0; i < t->facts->vfs->len; i++) {
                _cleanup_(vf_state_done) VfState s = { 0 };
                const VgpuVf *vf = t->facts->vfs->pdata[i];
                uint32_t size = read_info(t->io, vf).size_mb;
                int r = vf_state_read_or_explain(t, vf, &s, reterr);

                if (r < 0)
                        return r;
                if (size == 0)
                        return vgpud_error_setf(reterr, VGPUD_ERROR_UNSUPPORTED,
                                                "how much memory virtual function %s has cannot be read "
                                                "(/sys/%s/gpuvf), and without that no piece of memory is safe "
                                                "to ask for: driver gim may give two functions the same",
                                                vf->name, vf->path);
                g_array_append_val(*(vf_state_is_handed_out(&s) ? &taken : &idle), size);
        }
        usual = usual_size(idle);
        for (guint i = 0; i < taken->len; i++)
                largest = MAX(largest, g_array_index(taken, uint32_t, i));
        for (guint i = 0; i < idle->len; i++)
                if (g_array_index(idle, uint32_t, i) != usual)
                        largest = MAX(largest, g_array_index(idle, uint32_t, i));
        if (w->size_mb >= largest)
                return 0;
        if (largest == usual)
                return vgpud_error_setf(
                                reterr, VGPUD_ERROR_NO_CAPACITY,
                                "another virtual function of GPU %s has an equal share (%" PRIu32
                                " MB), beside which one of your own size is not possible, or a piece as "
                                "large as that, and driver gim does not notice when a smaller one (%" PRIu32
                                " MB) lies within it: leave the options out, or destroy the others",
                                t->facts->name, largest, w->size_mb);
        return vgpud_error_setf(reterr, VGPUD_ERROR_NO_CAPACITY,
                                "another virtual function of GPU %s has %" PRIu32
                                " MB, and driver gim does not "
                                "notice when a smaller piece (%" PRIu32 " MB) lies within that: make the small "
                                "ones first, or all of one size",
                                t->facts->name, largest, w->size_mb);
}

static int none_free(VgpuTarget *t, VgpudError *reterr)
{
        _cleanup_(gpu_snapshot_unrefp) GpuSnapshot *s = NULL;
        int r = gim_legacy_scan(t, &s, reterr);

        if (r < 0)
                return r;
        return vf_explain_none_free(t, s->types->pdata[0], reterr);
}

/* The function that gim is going to give, as far as can be seen. */
static int guess_vf(VgpuTarget *t, const CreateArgs *args, const VgpuVf **ret, VfState *ret_state,
                    VgpudError *reterr)
{
        for (guint i = 0; i < t->facts->vfs->len; i++) {
                const VgpuVf *vf = t->facts->vfs->pdata[i];
                int r = vf_state_read_or_explain(t, vf, ret_state, reterr);

                if (r < 0)
                        return r;
                if (vf_state_is_handed_out(ret_state) || vf_state_is_reserved(ret_state))
                        continue;
                if (args->parent && strcmp(args->parent, vf->name) != 0)
                        return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID,
                                                "virtual function %s cannot be asked for: driver gim decides, "
                                                "and gives %s next",
                                                args->parent, vf->name);
                *ret = vf;
                return 0;
        }
        return none_free(t, reterr);
}

/* create: doing it */

/* gim's sentences, by what is particular in them. */
static int explain_said(VgpuTarget *t, const Wish *w, const char *said, VgpudError *reterr)
{
        static const struct {
                const char *part;
                VgpudErrorCode code;
                const char *means;
        } table[] = {
                { "Can't find", VGPUD_ERROR_NO_CAPACITY,
                  "all of its functions are taken; those that nobody has bound to a driver were got by "
                  "somebody else, or by a program that ended before it was done, and go back by their names "
                  "(0000:…) written to relvf" },
                { "Active VFs", VGPUD_ERROR_NO_CAPACITY,
                  "guests run on functions with equal shares, so others of your own size are not possible "
                  "beside them: leave the options out, or end the guests" },
                { "three zero inputs", VGPUD_ERROR_NO_CAPACITY,
                  "its other functions have equal shares, so one with options is not possible beside them: "
                  "leave the options out, or destroy the others" },
                { "three non-zero inputs", VGPUD_ERROR_NO_CAPACITY,
                  "its other functions were made with options, so one without is not possible beside them: "
                  "give fb_offset, fb_size and gfx_divider, or destroy the others" },
                { "GFX_partition cannot be satisfied", VGPUD_ERROR_NO_CAPACITY,
                  "the others have so much of the computing time that this part is not left; ask for less (a "
                  "larger gfx_divider)" },
                { "offset and size", VGPUD_ERROR_NO_CAPACITY,
                  "that memory is another function's or beyond the end; ask for another fb_offset or a smaller "
                  "fb_size" },
                { "frame buffer offset", VGPUD_ERROR_INVALID,
                  "the beginning of the memory is the host's (parameter pf_fb of gim); ask for a larger "
                  "fb_offset" },
                { "frame buffer size", VGPUD_ERROR_INVALID, "fb_size is a multiple of 16M, 256M or more" },
                { "GFX partition", VGPUD_ERROR_INVALID, "gfx_divider is 1, 2, 4, 8 or 16" },
                { "Invalid Parameters", VGPUD_ERROR_INVALID, "this release of it does not take these numbers" },
        };
        const char *name = t->facts->name;

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++)
                if (strstr(said, table[i].part))
                        return vgpud_error_setf(
                                        reterr, table[i].code,
                                        "driver gim gave no virtual function of GPU %s for \"%" PRIu32
                                        " %" PRIu32 " %" PRIu32 "\" (MB, MB, divider): it says \"%s\": %s",
                                        name, w->offset_mb, w->size_mb, w->divider, said, table[i].means);
        return vgpud_error_setf(
                        reterr, VGPUD_ERROR_FAILED,
                        "driver gim gave no virtual function of GPU %s: it says %s%s%s; the kernel's log "
                        "may have the reason",
                        name, said[0] ? "\"" : "", said[0] ? said : "nothing", said[0] ? "\"" : "");
}

/* Take the function from whatever has it, which is refused while somebody uses it, give it back to gim, and
 * make it what it was. Its driver_override goes last: as long as that names a driver of VFIO, or the one that
 * it had (vf_find_interrupted()), whoever comes after a crash sees that there is something to do. */
static int put_back(VgpuTarget *t, const VgpuVf *vf, const VfState *was, bool got, VgpudError *reterr)
{
        _cleanup_(vf_state_done) VfState now = { 0 };
        int r;

        if (got) {
                r = vf_state_read_or_explain(t, vf, &now, reterr);
                if (r < 0)
                        return r;
                if (now.driver && !now.override) {
                        r = vfs_bind(t->io, vf, now.driver, now.driver, reterr);
                        if (r < 0)
                                return r;
                }
                r = vfs_bind(t->io, vf, NULL, now.override ? now.override : now.driver, reterr);
                if (r < 0)
                        return r;
                r = gim_legacy_release(t, vf, reterr);
                if (r < 0)
                        return r;
        }
        return vf_return(t, vf, was, reterr);
}

/* VfCreate.userdata */
typedef struct Request {
        Wish wish;
        bool got;            /* gim has given c->vf */
        const VgpuVf *doubt; /* the VF that gim may have given, if its answer was lost */
} Request;

/* gim's answer is lost: the VF that gim may have given may also be another program's. */
static int explain_doubt(VfCreate *c, int r, const VgpudError *again, VgpudError *cause, VgpudError *reterr)
{
        const GpuFacts *f = c->t->facts;
        const Request *req = c->userdata;

        r = vgpud_error_set_errnof(
                        reterr, VGPUD_ERROR_INCONSISTENT, cause->errnum > 0 ? -cause->errnum : r,
                        "%s; so driver gim may have given a virtual function of GPU %s that nobody has, most likely %s: if nobody else got that, it goes back by its name, written to /sys/%s/relvf%s%s",
                        cause->message, f->name, req->doubt->name, f->path,
                        r < 0 ? "; and what was reserved could not be returned to what it was: " : "",
                        r < 0 ? again->message : "");
        vgpud_error_done(cause);
        return r;
}

static int gim_legacy_undo_create(VfCreate *c, VgpudError *reterr)
{
        const Request *req = c->userdata;

        return put_back(c->t, c->vf, &c->was.state, req->got, reterr);
}

static int gim_legacy_explain_undo(VfCreate *c, int r, const VgpudError *again, VgpudError *cause,
                                   VgpudError *reterr)
{
        const Request *req = c->userdata;

        return req->doubt ? explain_doubt(c, r, again, cause, reterr)
                          : vf_explain_undo(c->vf, r, again, cause, reterr);
}

/* The record of a VF that gim gave. */
static char *given_to_text(const VfRestore *was)
{
        g_autofree char *text = vf_restore_to_text(was);

        return g_strconcat(text, text[0] ? " " : "", GIVEN, NULL);
}

static bool was_given(const char *restore)
{
        g_auto(GStrv) words = g_strsplit(restore ? restore : "", " ", -1);

        return g_strv_contains((const char *const *)words, GIVEN);
}

static int note_given(VfCreate *c, VgpudError *reterr)
{
        Request *req = c->userdata;

        req->got = true;
        g_free(c->restore_text);
        c->restore_text = given_to_text(&c->was);
        return vf_reserve(c->args, c->vf, c->restore_text, reterr);
}

/* gim gave another VF than the one reserved: another program got that one from gim and has not bound it. */
static int change_to(VfCreate *c, const VgpuVf *vf, VgpudError *reterr)
{
        Request *req = c->userdata;
        _cleanup_vgpud_error_ VgpudError cause = VGPUD_ERROR_INIT;
        _cleanup_(vf_restore_done) VfRestore was = { 0 };
        g_autofree char *text = NULL;
        bool noted = false;
        int r;

        r = vf_state_read_or_explain(c->t, vf, &was.state, &cause);
        if (r >= 0 && (vf_state_is_handed_out(&was.state) || vf_state_is_reserved(&was.state))) {
                r = vgpud_error_setf(&cause, VGPUD_ERROR_NO_CAPACITY,
                                     "driver gim gave virtual function %s of GPU %s, which is bound to or "
                                     "reserved for %s although nobody had got it from gim; it would have lost "
                                     "its right to start as well: bind it to nothing, or get it from gim first",
                                     vf->name, c->t->facts->name,
                                     was.state.override ? was.state.override : was.state.driver);
                /* It stays bound as it is. */
                _cleanup_vgpud_error_ VgpudError again = VGPUD_ERROR_INIT;
                int q = gim_legacy_release(c->t, vf, &again);
                return vf_explain_undo(vf, q, &again, &cause, reterr);
        }
        if (r >= 0)
                r = vfs_bind(c->t->io, vf, was.state.driver, c->driver, &cause);
        if (r >= 0) {
                text = given_to_text(&was);
                r = vf_reserve(c->args, vf, text, &cause);
                noted = r >= 0;
        }
        if (r >= 0)
                r = put_back(c->t, c->vf, &c->was.state, false, &cause);
        if (r < 0) {
                _cleanup_vgpud_error_ VgpudError again = VGPUD_ERROR_INIT;
                int q = vgpu_io_exists(c->t->io, vf->path) ? put_back(c->t, vf, &was.state, true, &again) : 0;
                /* create_undo() returns the guess, which stays on record if that fails. */
                if (q >= 0 && noted)
                        (void)vf_reserve(c->args, c->vf, c->restore_text, NULL);
                return vf_explain_undo(vf, q, &again, &cause, reterr);
        }
        c->vf = vf;
        req->got = true;
        vf_restore_done(&c->was);
        c->was = was;
        was = (VfRestore){ 0 };
        g_free(c->restore_text);
        c->restore_text = g_steal_pointer(&text);
        return 0;
}

/* The writer died, so the answer in the file may be that to an earlier request. An answer that names no VF, or
 * a VF in use, means that this request got none. */
static const VgpuVf *find_doubt(const VfCreate *c, const VgpuVf *vf)
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
        const Wish *w = &req->wish;
        g_autofree char *line = g_strdup_printf("%" PRIu32 " %" PRIu32 " %" PRIu32, w->offset_mb, w->size_mb,
                                                w->divider);
        g_autofree char *said = NULL;
        const VgpuVf *vf;
        bool asked;
        int r = gim_legacy_ask(c->t, "getvf", line, &said, &asked);

        vf = said ? gpu_facts_find_vf(c->t->facts, said) : NULL;
        if (r < 0) {
                if (asked)
                        req->doubt = said ? find_doubt(c, vf) : c->vf;
                return gim_legacy_explain_errno(c->t, "getvf", r, reterr);
        }
        if (!vf)
                return explain_said(c->t, w, said, reterr);
        return vf == c->vf ? note_given(c, reterr) : change_to(c, vf, reterr);
}

static int gim_legacy_prepare(VfCreate *c, VgpudError *reterr)
{
        const Request *req = c->userdata;

        return req->wish.size_mb > 0 ? refuse_smaller(c->t, &req->wish, reterr) : 0;
}

static const VfCreateOps create_ops = {
        .read_instance = gim_legacy_read_instance,
        .prepare = gim_legacy_prepare,
        .provision = gim_legacy_provision,
        .put_back = gim_legacy_undo_create,
        .explain_undo = gim_legacy_explain_undo,
};

static int gim_legacy_create(VgpuTarget *t, const CreateArgs *args, InstanceDesc **ret, VgpudError *reterr)
{
        Request req = { 0 };
        _cleanup_(vf_create_done) VfCreate c = { .ops = &create_ops, .userdata = &req, .t = t, .args = args };
        int r = read_wish(t, args, &req.wish, reterr);

        if (r < 0)
                return r;

        r = guess_vf(t, args, &c.vf, &c.was.state, reterr);
        return r < 0 ? r : vf_create_run(&c, ret, reterr);
}

/* ---- destroy ---- */

/* Who has it open is named, where that is so. */
static int refuse_running(VgpuTarget *t, const VgpuVf *vf, VgpudError *reterr)
{
        _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;
        g_autoptr(GArray) kept = vfs_kept_new();
        int r;

        if (!read_info(t->io, vf).active)
                return 0;
        r = vfs_keep_out(t->io, vf->path, kept, &e);
        return vgpud_error_set_errnof(
                        reterr, VGPUD_ERROR_IN_USE, r < 0 ? -e.errnum : -EBUSY,
                        "virtual function %s is in use: driver gim says that the driver of a guest "
                        "runs on it, and %s",
                        vf->name,
                        r < 0 ? e.message
                              : "nobody has it open: a virtual machine may have ended without "
                                "shutting it down; start it again and shut it down");
}

/* Reserved, and neither bound nor on record as given: whoever reserved it may not have asked gim yet. */
static int is_in_doubt(VgpuTarget *t, const VgpuVf *vf, const char *restore, bool *ret, VgpudError *reterr)
{
        _cleanup_(vf_state_done) VfState now = { 0 };
        int r = vf_state_read_or_explain(t, vf, &now, reterr);

        if (r < 0)
                return r;
        *ret = !now.leaving && !vfs_driver_is_vfio(now.driver) && !was_given(restore);
        return 0;
}

static int explain_left(VgpuTarget *t, const VgpuVf *vf, VgpudError *reterr)
{
        return vgpud_error_setf(
                        reterr, VGPUD_ERROR_FAILED,
                        "the instance has gone, but driver gim may have given a virtual function of GPU %s, "
                        "most likely %s, that nobody has: whoever reserved it ended before it was on record "
                        "what gim answered, and somebody else may have got it; if nobody did, it goes back by "
                        "its name, written to /sys/%s/relvf",
                        t->facts->name, vf->name, t->facts->path);
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
        if ((r = refuse_running(t, &vf, reterr)) < 0 ||
            (r = is_in_doubt(t, &vf, instance->restore, &doubt, reterr)) < 0)
                return r;
        vf_restore_from_text(t->io, instance->restore, &was);
        r = put_back(t, &vf, &was.state, !doubt, &cause);
        r = vf_explain_destroy(t, &vf, r, &cause, reterr);
        if (r < 0)
                return r;
        return doubt ? explain_left(t, &vf, reterr) : 1;
}

/* gim has it back by then. */
static int gim_legacy_settle(VgpuTarget *t, const char *slot, const char *restore, VgpudError *reterr)
{
        _cleanup_(vf_restore_done) VfRestore was = { 0 };
        const VgpuVf *vf = vf_find_interrupted(t, slot, restore, &was);

        return vf ? put_back(t, vf, &was.state, false, reterr) : 0;
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
        .finish_interrupted = gim_legacy_settle,
        .handover = handover_new_pci,
};
