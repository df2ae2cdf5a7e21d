/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "drivers-glue/amd/gim-legacy-ask.h"

#include <string.h>

#include "base/text.h"
#include "drivers-glue/explain.h"

#define ANSWER_MAX 160

int gim_legacy_ask(VgpuTarget *t, const char *file, const char *value, char **ret, bool *ret_asked)
{
        g_autofree char *path = g_strdup_printf("%s/%s", t->facts->path, file), *text = NULL;
        int r = vgpu_io_write_guarded(t->io, path, value), q;
        bool asked = r >= 0 || r == -EPROTO;

        g_assert(!*ret);

        if (ret_asked)
                *ret_asked = asked;
        if (!asked)
                return r;

        q = vgpu_io_read(t->io, path, &text);
        if (q < 0)
                q = vgpu_io_read(t->io, path, &text);
        if (q < 0)
                return r < 0 ? r : q;

        g_strstrip(text);
        if (strlen(text) > ANSWER_MAX)
                text[ANSWER_MAX] = 0;
        *ret = g_utf8_make_valid(text, -1);

        return r;
}

int gim_legacy_explain_errno(VgpuTarget *t, const char *file, int r, VgpudError *reterr)
{
        static const Refusal refusals[] = {
                { ENOENT, VGPUD_ERROR_UNSUPPORTED, "driver gim no longer has this file" },
                { 0 },
        };

        if (r == -ENODEV || (vgpu_io_is_gone(r) && !vgpu_io_exists(t->io, t->facts->path)))
                return explain_gpu_gone(t->facts, r, reterr);

        return explain_refusal(refusals, r, reterr, "no answer from driver gim of GPU %s (/sys/%s/%s)",
                               t->facts->name, t->facts->path, file);
}

int gim_legacy_release(VgpuTarget *t, const VgpuVf *vf, VgpudError *reterr)
{
        g_autofree char *answer = NULL;
        int r = gim_legacy_ask(t, "relvf", vf->name, &answer, NULL);

        if (r < 0)
                return gim_legacy_explain_errno(t, "relvf", r, reterr);

        if (strcmp(answer, "OK") == 0 || strstr(answer, "has not been set"))
                return 0;

        if (strstr(answer, "still in use")) {
                r = vgpud_error_setf(reterr, VGPUD_ERROR_IN_USE,
                                     "driver gim cannot release VF %s: the driver of a guest uses it (\"%s\")",
                                     vf->name, TEXT_QUOTE(answer));
                vgpud_error_hintf(
                                reterr, VGPUD_HINT_STOP_USER,
                                "shut down the guest; if its VM ended without a shutdown, start the guest again and shut it down");

                return r;
        }

        return vgpud_error_setf(reterr, VGPUD_ERROR_FAILED,
                                "driver gim cannot release VF %s: its answer is \"%s\"", vf->name,
                                TEXT_QUOTE(answer));
}
