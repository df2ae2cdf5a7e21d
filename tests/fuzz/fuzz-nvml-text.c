/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The fuzzer reads the output of vgpud-nvml, which contains texts of NVIDIA's library. */

#include "fuzz.h"

#include "drivers-glue/nvidia/nvml-text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        g_autofree char *text = size > 0 ? g_strndup((const char *)data, size) : g_strdup("");
        NvmlAnswer *a = NULL;

        if (nvml_answer_parse(text, &a) < 0) {
                g_assert(!a);
                return 0;
        }

        g_assert(g_str_has_suffix(text, "end\n"));
        g_assert(a->heterogeneous >= -1 && a->heterogeneous <= 1 && a->mig >= -1 && a->mig <= 1);
        g_assert(a->types->len <= NVML_TYPES_MAX && a->creatable->len <= NVML_TYPES_MAX);

        for (guint i = 0; i < a->types->len; i++) {
                const NvmlType *t = a->types->pdata[i];

                g_assert(nvml_answer_find_type(a, t->id) == t);
                g_assert(!t->name || g_utf8_validate(t->name, -1, NULL));
        }

        nvml_answer_free(a);

        return 0;
}
