/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Descriptions of types are arbitrary text. The parsed values must be consistent. */

#include "fuzz.h"

#include "drivers-glue/mdev/parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        g_autofree char *text = g_strndup((const char *)data, size);
        VgpuType *t = vgpu_type_new("x-1"), *again = vgpu_type_new("x-1");

        mdev_parse_description(text, t);
        mdev_parse_description(text, again);
        g_assert(vgpu_type_equal(t, again));
        /* framebuffer_bytes is set, unless low_gm_bytes + high_gm_bytes is 0 or exceeds 64 bits. */
        g_assert(t->framebuffer_bytes > 0 || t->low_gm_bytes > UINT64_MAX - t->high_gm_bytes ||
                 t->low_gm_bytes + t->high_gm_bytes == 0);
        vgpu_type_free(t);
        vgpu_type_free(again);

        return 0;
}
