/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "drivers-glue/explain.h"

#include <inttypes.h>
#include <string.h>

#include "base/text.h"
#include "drivers-glue/io/io.h"
#include "drivers-glue/type-find.h"

#define NAMES_IN_MESSAGE_MAX 8

#define EXPLAIN_DENIED "a security module or the sandbox of the service may deny access"

/* Reasons that hold for every file of the kernel. */
static const Refusal general_refusals[] = {
        { EACCES, VGPUD_ERROR_FAILED, EXPLAIN_DENIED },
        { EPERM, VGPUD_ERROR_FAILED, EXPLAIN_DENIED },
        { 0 },
};

static const Refusal attribute_refusals[] = {
        { ENOENT, VGPUD_ERROR_INVALID, "instances of this type have no such attribute" },
        { ENOTDIR, VGPUD_ERROR_INVALID, "instances of this type have no such attribute" },
        { ELOOP, VGPUD_ERROR_INVALID, "instances of this type have no such attribute" },
        { EISDIR, VGPUD_ERROR_INVALID, "instances of this type have no such attribute" },
        { EACCES, VGPUD_ERROR_INVALID, "the attribute is read-only" },
        { EINVAL, VGPUD_ERROR_INVALID, "the driver refused the value" },
        { ERANGE, VGPUD_ERROR_INVALID, "the driver refused the value" },
        { E2BIG, VGPUD_ERROR_INVALID, "the driver refused the value" },
        { EPERM, VGPUD_ERROR_FAILED, "the driver refuses changes while the instance is in use" },
        { 0 },
};

const Refusal *refusal_find(const Refusal *table, int r)
{
        for (const Refusal *f = table; f && f->errnum > 0; f++)
                if (f->errnum == -r)
                        return f;

        return NULL;
}

int explain_refusal(const Refusal *table, int r, VgpudError *reterr, const char *format, ...)
{
        const Refusal *f = refusal_find(table, r);
        g_autofree char *what = NULL;
        va_list ap;
        int q;

        va_start(ap, format);
        what = g_strdup_vprintf(format, ap);
        va_end(ap);

        /* EPROTO: the write did not reach the kernel, or the result of the write was lost with the writer. */
        if (!f && r == -EPROTO) {
                q = vgpud_error_set_errnof(reterr, VGPUD_ERROR_FAILED, r,
                                           "%s: vgpud-write did not start, or died before it answered", what);
                vgpud_error_hintf(reterr, VGPUD_HINT_SEE_JOURNAL,
                                  "look for messages about vgpud-write in the journal of vgpud.service");

                return q;
        }

        if (!f)
                f = refusal_find(general_refusals, r);
        if (!f) {
                q = vgpud_error_set_errnof(reterr, VGPUD_ERROR_FAILED, r, "%s: %s", what, g_strerror(-r));
                vgpud_error_hintf(reterr, VGPUD_HINT_SEE_KERNEL_LOG,
                                  "look for messages of the driver in the kernel log");

                return q;
        }

        q = vgpud_error_set_errnof(reterr, f->code, r, "%s: %s: %s", what, g_strerror(-r), f->why);
        if (f->hint_id != VGPUD_HINT_NONE)
                vgpud_error_hintf(reterr, f->hint_id, "%s", f->hint);

        return q;
}

int explain_gpu_gone(const GpuFacts *facts, int r, VgpudError *reterr)
{
        return vgpud_error_set_errnof(reterr, VGPUD_ERROR_GPU_GONE, r < 0 ? r : -ENODEV,
                                      "GPU %s went away, or its driver is being unloaded", facts->name);
}

const char *explain_read_error(int r)
{
        g_assert(r < 0);

        return r == -EBADMSG ? "not a number" : g_strerror(-r);
}

int explain_unreadable(const char *path, int r, VgpudError *reterr)
{
        return vgpud_error_set_errnof(reterr, VGPUD_ERROR_FAILED, r, "/sys/%s cannot be read: %s", path,
                                      explain_read_error(r));
}

int explain_read(const GpuFacts *facts, const char *path, int r, VgpudError *reterr)
{
        if (r >= 0)
                return 0;

        if (vgpu_io_is_gone(r))
                return explain_gpu_gone(facts, r, reterr);

        return explain_unreadable(path, r, reterr);
}

int explain_use_unknown(int r, VgpudError *reterr, const char *format, ...)
{
        g_autofree char *what = NULL;
        va_list ap;

        va_start(ap, format);
        what = g_strdup_vprintf(format, ap);
        va_end(ap);

        return vgpud_error_set_errnof(reterr, VGPUD_ERROR_IN_USE, r,
                                      "vgpud cannot tell whether the device is in use: %s: %s", what,
                                      g_strerror(-r));
}

int explain_no_iommu(const VgpuVf *vf, int r, VgpudError *reterr)
{
        r = vgpud_error_set_errnof(reterr, VGPUD_ERROR_UNSUPPORTED, r,
                                   "VF %s has no IOMMU group, so no VM can use it", vf->name);
        vgpud_error_hintf(
                        reterr, VGPUD_HINT_ENABLE_IOMMU,
                        "enable the IOMMU in the firmware setup (VT-d, AMD-Vi); on Intel, also boot with intel_iommu=on");

        return r;
}

int explain_no_vf(const GpuFacts *facts, const char *name, VgpudError *reterr)
{
        return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID, "GPU %s has no VF %s", facts->name,
                                TEXT_QUOTE(name));
}

int explain_no_such_type(const GpuSnapshot *s, const char *type_id, const char *where, VgpudError *reterr)
{
        _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;

        if (!gpu_snapshot_find_type(s, type_id, &e) && e.code == VGPUD_ERROR_NO_SUCH_TYPE)
                return vgpud_error_move(reterr, &e);

        /* The snapshot has the type, so either the type appeared after the failure, or type_id is an alias, or
         * another parent offers the type. */
        return vgpud_error_setf(reterr, VGPUD_ERROR_NO_SUCH_TYPE, "%s does not offer a type with the id %s",
                                where, TEXT_QUOTE(type_id));
}

void explain_alternatives(const GpuSnapshot *s, const char *type_id, VgpudError *reterr)
{
        g_autoptr(GString) names = g_string_new(NULL);
        const VgpuType *wanted = NULL;
        guint n = 0;

        for (guint i = 0; i < s->types->len; i++) {
                const VgpuType *t = s->types->pdata[i];

                if (strcmp(t->id, type_id) == 0)
                        wanted = t;
                else if (t->available > 0 && n++ < NAMES_IN_MESSAGE_MAX)
                        g_string_append_printf(names, "%s%s (%" PRIu32 ")", n > 1 ? ", " : "", t->name,
                                               t->available);
        }

        if (n > 0)
                vgpud_error_hintf(reterr, VGPUD_HINT_CHOOSE_OTHER, "the GPU has room for: %s", names->str);
        else if (wanted && wanted->hint.id != VGPUD_HINT_NONE)
                explain_copy_hint(&wanted->hint, reterr);
        else if (s->instances->len > 0)
                vgpud_error_hintf(reterr, VGPUD_HINT_DESTROY_INSTANCE, "destroy an instance of the GPU first");
}

int explain_option(const VgpuAttribute *a, const char *help, VgpudError *reterr)
{
        int r = vgpud_error_setf(reterr, VGPUD_ERROR_INVALID, "option %s cannot be \"%s\"", TEXT_QUOTE(a->name),
                                 TEXT_QUOTE(a->value));

        vgpud_error_hintf(reterr, VGPUD_HINT_CHOOSE_OTHER, "option %s takes: %s", a->name, help);

        return r;
}

int explain_attribute(const VgpuAttribute *a, int r, VgpudError *reterr)
{
        return explain_refusal(attribute_refusals, r, reterr, "attribute %s cannot be set", a->name);
}

int explain_rollback(const char *what, int r, const char *why, VgpudError *cause, VgpudError *reterr)
{
        if (!why)
                why = r < 0 ? g_strerror(-r) : "no error, but the device still exists";

        vgpud_error_require(cause);
        r = vgpud_error_set_errnof(reterr, VGPUD_ERROR_INCONSISTENT, cause->errnum > 0 ? -cause->errnum : r,
                                   "%s; the rollback of %s failed as well: %s", cause->message, what, why);
        explain_copy_hint(&cause->hint, reterr);
        vgpud_error_done(cause);

        return r;
}

void explain_copy_hint(const VgpudHint *hint, VgpudError *reterr)
{
        if (reterr && hint->id != VGPUD_HINT_NONE)
                vgpud_hint_copy(&reterr->hint, hint);
}
