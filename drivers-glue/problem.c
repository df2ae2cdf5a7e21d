/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "drivers-glue/problem.h"

#include <stdarg.h>
#include <string.h>

#include "drivers-glue/explain.h"

#define PROBLEMS_IN_MESSAGE_MAX 4

VgpuProblem *vgpu_problem_free(VgpuProblem *p)
{
        if (!p)
                return NULL;

        g_free(p->text);
        vgpud_hint_done(&p->hint);
        g_free(p->unread);
        g_free(p);

        return NULL;
}

void gpu_snapshot_add_problem(GpuSnapshot *s, VgpudHintId id, const char *hint, const char *format, ...)
{
        VgpuProblem *p = g_new0(VgpuProblem, 1);
        va_list ap;

        va_start(ap, format);
        p->text = g_strdup_vprintf(format, ap);
        va_end(ap);

        vgpud_hint_setf(&p->hint, id, "%s", hint);
        g_ptr_array_add(s->problems, p);
}

void gpu_snapshot_add_unread(GpuSnapshot *s, const char *unread, const char *path, int r)
{
        VgpuProblem *p;

        g_assert(r < 0);

        gpu_snapshot_add_problem(s, VGPUD_HINT_SEE_KERNEL_LOG,
                                 "look for messages of the driver in the kernel log, then run vgpuctl rescan",
                                 "/sys/%s cannot be read: %s", path, explain_read_error(r));
        p = s->problems->pdata[s->problems->len - 1];
        p->unread = g_strdup(unread);
}

void gpu_snapshot_copy_problems(GpuSnapshot *s, const GpuSnapshot *from)
{
        g_assert(s != from);

        for (guint i = 0; i < from->problems->len; i++) {
                const VgpuProblem *p = from->problems->pdata[i];
                VgpuProblem *copy = g_new0(VgpuProblem, 1);

                copy->text = g_strdup(p->text);
                vgpud_hint_copy(&copy->hint, &p->hint);
                copy->unread = g_strdup(p->unread);
                g_ptr_array_add(s->problems, copy);
        }
}

bool gpu_snapshot_is_unread(const GpuSnapshot *s, const char *name)
{
        for (guint i = 0; name && i < s->problems->len; i++)
                if (g_strcmp0(((const VgpuProblem *)s->problems->pdata[i])->unread, name) == 0)
                        return true;

        return false;
}

bool gpu_snapshot_is_partial(const GpuSnapshot *s)
{
        for (guint i = 0; i < s->problems->len; i++)
                if (((const VgpuProblem *)s->problems->pdata[i])->unread)
                        return true;

        return false;
}

char *gpu_snapshot_explain_problems(const GpuSnapshot *s, VgpudHint *ret_hint)
{
        GString *text;

        if (s->problems->len == 0)
                return NULL;

        text = g_string_new(NULL);
        for (guint i = 0; i < s->problems->len && i < PROBLEMS_IN_MESSAGE_MAX; i++)
                g_string_append_printf(text, "%s%s", i > 0 ? "; " : "",
                                       ((const VgpuProblem *)s->problems->pdata[i])->text);

        if (s->problems->len > PROBLEMS_IN_MESSAGE_MAX)
                g_string_append_printf(text, "; and %u more problems",
                                       s->problems->len - PROBLEMS_IN_MESSAGE_MAX);
        vgpud_hint_copy(ret_hint, &((const VgpuProblem *)s->problems->pdata[0])->hint);

        return g_string_free(text, FALSE);
}
