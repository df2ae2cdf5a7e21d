/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "cli/verbs/call-options.h"

#include "cli/client/client.h"

int append_place_options(sd_bus_message *m, const Arguments *a, const char *near)
{
        const struct {
                const char *key, *text;
        } texts[] = { { "strategy", a->strategy }, { "near", near }, { "pool", a->pool } };
        int r = 0;

        g_assert(!near || a->near);

        for (size_t i = 0; r >= 0 && i < G_N_ELEMENTS(texts); i++)
                if (texts[i].text)
                        r = sd_bus_message_append(m, "{sv}", texts[i].key, "s", texts[i].text);

        if (r >= 0 && a->numa_node >= 0)
                r = sd_bus_message_append(m, "{sv}", "numa_node", "i", a->numa_node);
        if (r >= 0 && a->preferred_numa_node >= 0)
                r = sd_bus_message_append(m, "{sv}", "preferred_numa_node", "i", a->preferred_numa_node);

        return r;
}

int append_job_options(sd_bus_message *m, const Arguments *a)
{
        int r;

        g_assert(a->timeout_usec == 0 || a->block); /* main.c refuses --timeout with --no-block */

        r = client_options_begin(m);
        if (r >= 0 && a->foreign)
                r = sd_bus_message_append(m, "{sv}", "foreign", "b", true);

        return r < 0 ? r : client_options_end(m);
}
