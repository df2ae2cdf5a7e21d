/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Parsers for files of NVIDIA's driver, whose format is not guaranteed. */

#include "fuzz.h"

#include <string.h>

#include "drivers-glue/nvidia/parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        g_autofree char *text = size > 0 ? g_strndup((const char *)data, size) : g_strdup("");
        g_autoptr(GPtrArray) list = nvidia_parse_creatable(text);
        uint32_t id;

        g_assert(list->len <= NVIDIA_LISTED_MAX);

        for (guint i = 0; i < list->len; i++) {
                const NvidiaListed *l = list->pdata[i];
                g_autofree char *type_id = nvidia_type_id(l->id);

                g_assert(nvidia_type_id_parse(type_id, &id) >= 0 && id == l->id && id > 0);
                g_assert(l->name[0] && !strchr(l->name, '\n') && g_utf8_validate(l->name, -1, NULL));
        }

        (void)nvidia_parse_current(text, &id);
        if (nvidia_type_id_parse(text, &id) >= 0) {
                g_autofree char *again = nvidia_type_id(id);

                g_assert(strcmp(again, text) == 0);
        }

        return 0;
}
