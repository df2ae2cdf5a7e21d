/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Names of types are arbitrary text. The parts of an accepted name must add up to the same name, without the
 * prefix "NVIDIA " or "GRID ". */

#include "fuzz.h"

#include <inttypes.h>
#include <string.h>

#include "drivers-glue/nvidia/type-name.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        g_autofree char *text = size > 0 ? g_strndup((const char *)data, size) : g_strdup("");
        VgpuType *t = vgpu_type_new("x-1");
        TypeName n;

        if (type_name_parse(text, &n)) {
                g_autoptr(GString) again = g_string_new(n.product);

                if (n.slices > 0)
                        g_string_append_printf(again, "-%u", n.slices);
                g_string_append_printf(again, "-%" PRIu64 "%s%s", n.framebuffer_bytes >> 30, n.class,
                                       n.attribute);
                g_assert(n.framebuffer_bytes > 0);
                g_assert(g_str_has_suffix(text, again->str));
        }

        g_free(t->name);
        t->name = g_strdup(text);
        type_name_apply(t);
        vgpu_type_free(t);

        return 0;
}
