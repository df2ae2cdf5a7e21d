/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "drivers-glue/explain.h"

#include "drivers-glue/io/io.h"

/* Reasons that hold for every file of the kernel. */
static const Refusal general_refusals[] = {
        { EACCES, VGPUD_ERROR_FAILED, "a security module or the sandbox of the service may forbid it" },
        { EPERM, VGPUD_ERROR_FAILED, "a security module or the sandbox of the service may forbid it" },
        { 0 },
};

static const Refusal attribute_refusals[] = {
        { ENOENT, VGPUD_ERROR_INVALID, "instances of this type do not have it" },
        { ENOTDIR, VGPUD_ERROR_INVALID, "instances of this type do not have it" },
        { ELOOP, VGPUD_ERROR_INVALID, "instances of this type do not have it" },
        { EISDIR, VGPUD_ERROR_INVALID, "instances of this type do not have it" },
        { EACCES, VGPUD_ERROR_INVALID, "it is read-only" },
        { EINVAL, VGPUD_ERROR_INVALID, "the driver refused the value" },
        { ERANGE, VGPUD_ERROR_INVALID, "the driver refused the value" },
        { E2BIG, VGPUD_ERROR_INVALID, "the driver refused the value" },
        { EPERM, VGPUD_ERROR_FAILED, "the driver refuses it while the instance is in use" },
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

        va_start(ap, format);
        what = g_strdup_vprintf(format, ap);
        va_end(ap);

        /* The guarded writer answers EPROTO when the kernel was not asked, or not heard. */
        if (!f && r == -EPROTO)
                return vgpud_error_set_errnof(
                                reterr, VGPUD_ERROR_FAILED, r,
                                "%s: vgpud-write could not be started or died before it answered (see the daemon's log)",
                                what);
        if (!f)
                f = refusal_find(general_refusals, r);

        r = vgpud_error_set_errnof(reterr, f ? f->code : VGPUD_ERROR_FAILED, r, "%s: %s: %s", what,
                                   g_strerror(-r), f ? f->why : "the kernel's log may have the reason");
        if (f && f->hint_id != VGPUD_HINT_NONE)
                vgpud_error_hintf(reterr, f->hint_id, "%s", f->hint);

        return r;
}

int explain_gpu_gone(const GpuFacts *facts, int r, VgpudError *reterr)
{
        return vgpud_error_set_errnof(reterr, VGPUD_ERROR_GPU_GONE, r < 0 ? r : -ENODEV,
                                      "GPU %s went away, or its driver is being unloaded", facts->name);
}

int explain_unreadable(const char *path, int r, VgpudError *reterr)
{
        return vgpud_error_set_errnof(reterr, VGPUD_ERROR_FAILED, r, "/sys/%s cannot be read: %s", path,
                                      g_strerror(-r));
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
        return vgpud_error_set_errnof(
                        reterr, VGPUD_ERROR_UNSUPPORTED, r,
                        "virtual function %s has no IOMMU group, so no virtual machine can have it; switch the IOMMU on in the firmware setup (VT-d, AMD-Vi) and boot with intel_iommu=on on Intel",
                        vf->name);
}

int explain_no_vf(const GpuFacts *facts, const char *name, VgpudError *reterr)
{
        return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID, "GPU %s has no virtual function %s", facts->name,
                                name);
}

int explain_no_such_type(const GpuSnapshot *s, const char *type_id, const char *where, VgpudError *reterr)
{
        _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;

        if (!gpu_snapshot_find_type(s, type_id, &e) && e.code == VGPUD_ERROR_NO_SUCH_TYPE)
                return vgpud_error_move(reterr, &e);

        /* The snapshot has the type by now, or under this name as an alias, or on another parent. */
        return vgpud_error_setf(reterr, VGPUD_ERROR_NO_SUCH_TYPE, "%s does not offer a type of the id %s",
                                where, type_id);
}

int explain_option(const VgpuAttribute *a, const char *help, VgpudError *reterr)
{
        return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID, "option %s cannot be \"%s\"; it is: %s", a->name,
                                a->value, help);
}

int explain_attribute(const VgpuAttribute *a, int r, VgpudError *reterr)
{
        return explain_refusal(attribute_refusals, r, reterr, "attribute %s cannot be set", a->name);
}

int explain_rollback(const char *what, int r, const char *why, VgpudError *cause, VgpudError *reterr)
{
        if (!why)
                why = r < 0 ? g_strerror(-r) : "it is still there";

        r = vgpud_error_set_errnof(reterr, VGPUD_ERROR_INCONSISTENT, cause->errnum > 0 ? -cause->errnum : r,
                                   "%s; and the rollback of %s failed: %s", cause->message, what, why);
        vgpud_error_done(cause);

        return r;
}

void explain_copy_hint(const VgpudHint *hint, VgpudError *reterr)
{
        if (reterr && hint->id != VGPUD_HINT_NONE)
                vgpud_hint_copy(&reterr->hint, hint);
}
