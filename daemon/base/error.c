/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "base/error.h"

#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <string.h>

#include "base/log.h"
#include "base/text.h"

static const struct {
        const char *dbus;
        int errnum;
        int exit_status;
        const char *text;
} error_table[_VGPUD_ERROR_MAX] = {
#define X(id, name, eno, exit_status_, text_) \
        [VGPUD_ERROR_##id] = { VGPUD_ERROR_DBUS_PREFIX name, eno, exit_status_, text_ },
        VGPUD_ERRORS(X)
#undef X
};

static bool error_code_is_valid(VgpudErrorCode code)
{
        return code > VGPUD_ERROR_NONE && code < _VGPUD_ERROR_MAX;
}

static void _printf_(4, 0)
                error_fill(VgpudError *e, VgpudErrorCode code, int errnum, const char *format, va_list ap)
{
        if (!e)
                return;

        g_free(e->message);
        vgpud_hint_done(&e->hint);
        e->code = code;
        e->errnum = errnum;
        e->message = text_clean(g_strdup_vprintf(format, ap), TEXT_MESSAGE_MAX);
}

int vgpud_error_setf(VgpudError *e, VgpudErrorCode code, const char *format, ...)
{
        va_list ap;

        g_assert(error_code_is_valid(code));
        va_start(ap, format);
        error_fill(e, code, 0, format, ap);
        va_end(ap);

        return -error_table[code].errnum;
}

int vgpud_error_set_errnof(VgpudError *e, VgpudErrorCode code, int r, const char *format, ...)
{
        va_list ap;

        g_assert(error_code_is_valid(code));
        va_start(ap, format);
        error_fill(e, code, r < 0 && r > INT_MIN ? -r : 0, format, ap);
        va_end(ap);

        return -error_table[code].errnum;
}

void vgpud_error_hintf(VgpudError *e, VgpudHintId id, const char *format, ...)
{
        g_autofree char *text = NULL;
        va_list ap;

        if (!e)
                return;

        g_assert(e->code != VGPUD_ERROR_NONE);

        va_start(ap, format);
        text = g_strdup_vprintf(format, ap);
        va_end(ap);

        vgpud_hint_setf(&e->hint, id, "%s", text);
}

void vgpud_error_hint_job(VgpudError *e, uint32_t job)
{
        g_assert(job > 0);

        vgpud_error_hintf(e, VGPUD_HINT_WAIT_FOR_JOB, "wait until job %" PRIu32 " has ended", job);
        if (e)
                e->job = job;
}

void vgpud_error_done(VgpudError *e)
{
        if (!e)
                return;

        g_free(e->message);
        vgpud_hint_done(&e->hint);
        *e = VGPUD_ERROR_INIT;
}

void vgpud_error_require(VgpudError *e)
{
        if (error_code_is_valid(e->code))
                return;

        log_error("Internal error: an operation failed without an explanation");
        (void)vgpud_error_setf(e, VGPUD_ERROR_FAILED,
                               "the operation failed for a reason that vgpud does not know");
        vgpud_error_hintf(e, VGPUD_HINT_SEE_JOURNAL, "look for messages in the journal of vgpud.service");
}

int vgpud_error_move(VgpudError *dst, VgpudError *src)
{
        int r;

        g_assert(dst != src);

        vgpud_error_require(src);
        r = -vgpud_error_code_to_errno(src->code);

        if (dst) {
                vgpud_error_done(dst);
                *dst = *src;
                *src = VGPUD_ERROR_INIT;
        } else
                vgpud_error_done(src);

        return r;
}

void vgpud_error_copy(VgpudError *dst, const VgpudError *src)
{
        vgpud_error_done(dst);
        dst->code = src->code;
        dst->errnum = src->errnum;
        dst->message = g_strdup(src->message);
        vgpud_hint_copy(&dst->hint, &src->hint);
        dst->job = src->job;
}

const char *vgpud_error_code_to_dbus(VgpudErrorCode code)
{
        return error_code_is_valid(code) ? error_table[code].dbus : NULL;
}

VgpudErrorCode vgpud_error_code_from_dbus(const char *name)
{
        for (VgpudErrorCode c = VGPUD_ERROR_NONE + 1; name && c < _VGPUD_ERROR_MAX; c++)
                if (strcmp(error_table[c].dbus, name) == 0)
                        return c;

        return VGPUD_ERROR_NONE;
}

int vgpud_error_code_to_errno(VgpudErrorCode code)
{
        return error_code_is_valid(code) ? error_table[code].errnum : 0;
}

int vgpud_error_code_to_exit_status(VgpudErrorCode code)
{
        return error_code_is_valid(code) ? error_table[code].exit_status : 0;
}

const char *vgpud_error_code_to_text(VgpudErrorCode code)
{
        return error_code_is_valid(code) ? error_table[code].text : NULL;
}

VgpudErrorCode vgpud_error_code_from_errno(int r)
{
        g_assert(r < 0);

        for (VgpudErrorCode c = VGPUD_ERROR_NONE + 1; c < _VGPUD_ERROR_MAX; c++)
                if (error_table[c].errnum == -r)
                        return c;

        return VGPUD_ERROR_FAILED;
}
