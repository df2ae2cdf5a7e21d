/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "base/hint.h"

#include <stdarg.h>

#include "base/text.h"

static const char *const hint_table[_VGPUD_HINT_MAX] = { [VGPUD_HINT_NONE] = "",
#define X(name, id, text) [VGPUD_HINT_##name] = id,
                                                         VGPUD_HINTS(X) VGPUD_CLIENT_HINTS(X)
#undef X
};

void vgpud_hint_setf(VgpudHint *h, VgpudHintId id, const char *format, ...)
{
        va_list ap;
        char *text;

        g_assert(id > VGPUD_HINT_NONE && id < _VGPUD_HINT_MAX);

        if (!h)
                return;

        va_start(ap, format);
        text = text_clean(g_strdup_vprintf(format, ap), TEXT_MESSAGE_MAX);
        va_end(ap);

        vgpud_hint_done(h);
        *h = (VgpudHint){ .id = id, .text = text };
}

void vgpud_hint_done(VgpudHint *h)
{
        if (!h)
                return;

        g_free(h->text);
        *h = VGPUD_HINT_INIT;
}

void vgpud_hint_copy(VgpudHint *dst, const VgpudHint *src)
{
        VgpudHint copy = VGPUD_HINT_INIT;

        if (src)
                copy = (VgpudHint){ .id = src->id, .text = g_strdup(src->text) };

        vgpud_hint_done(dst);
        *dst = copy;
}

bool vgpud_hint_equal(const VgpudHint *a, const VgpudHint *b)
{
        return a->id == b->id && g_strcmp0(a->text, b->text) == 0;
}

const char *vgpud_hint_id_to_string(VgpudHintId id)
{
        g_assert(id >= VGPUD_HINT_NONE && id < _VGPUD_HINT_MAX);

        return hint_table[id];
}
