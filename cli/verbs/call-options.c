/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "cli/verbs/call-options.h"

#include <string.h>

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

int append_attributes(sd_bus_message *m, const Arguments *a)
{
        int r;

        if (a->attributes->len == 0 && !(a->given & OPTION_NO_ATTRS))
                return 0;

        r = sd_bus_message_open_container(m, 'e', "sv");
        if (r >= 0)
                r = sd_bus_message_append_basic(m, 's', "attributes");
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'v', "a(ss)");
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "(ss)");
        for (unsigned i = 0; r >= 0 && i < a->attributes->len; i++) {
                const Attribute *attribute = &g_array_index(a->attributes, Attribute, i);

                r = sd_bus_message_append(m, "(ss)", attribute->name, attribute->value);
        }

        for (unsigned i = 0; r >= 0 && i < 3; i++)
                r = sd_bus_message_close_container(m);

        return r;
}

/* InvalidArgs may be about any argument, so look for an attribute in the message. */
static bool error_is_about_attributes(const ErrorInfo *e, const Arguments *a)
{
        if (error_info_code(e) != VGPUD_ERROR_INVALID)
                return false;

        for (unsigned i = 0; i < a->attributes->len; i++)
                if (strstr(e->message, g_array_index(a->attributes, Attribute, i).name))
                        return true;

        return strstr(e->message, "attribute") || strstr(e->message, "option");
}

void explain_attributes(ErrorInfo *e, const Arguments *a)
{
        g_assert(!e->hint);

        if (error_is_about_attributes(e, a))
                error_info_set_hint(e, VGPUD_HINT_EXPLAIN_TYPES,
                                    "\"vgpuctl types --why\" lists the options of each type");
}

int append_job_options(sd_bus_message *m, const Arguments *a)
{
        int r;

        g_assert(a->timeout_usec == 0 || a->block); /* main.c refuses --timeout with --no-block */

        r = client_options_begin(m);

        return r < 0 ? r : client_options_end(m);
}

int append_keep_options(sd_bus_message *m, const Arguments *a)
{
        int r;

        r = client_options_begin(m);
        if (r >= 0 && a->keep)
                r = sd_bus_message_append(m, "{sv}", "keep", "b", true);

        return r < 0 ? r : client_options_end(m);
}

int append_destroy_options(sd_bus_message *m, const Arguments *a, bool defined)
{
        int r;

        r = client_options_begin(m);
        if (r >= 0 && a->foreign)
                r = sd_bus_message_append(m, "{sv}", "foreign", "b", true);
        if (r >= 0 && defined)
                r = sd_bus_message_append(m, "{sv}", "defined", "b", true);

        return r < 0 ? r : client_options_end(m);
}
