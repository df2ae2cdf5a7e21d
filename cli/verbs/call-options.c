/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "cli/verbs/call-options.h"

#include <string.h>

#include "cli/output/errors.h"

int not_sent(const Arguments *a, int r)
{
        return fail(a, VGPUD_ERROR_FAILED, NULL, "Could not make a call: %s", strerror(-r));
}

int append_option(sd_bus_message *m, const char *key, const char *signature, const void *value)
{
        int r;

        r = sd_bus_message_open_container(m, 'e', "sv");
        if (r >= 0)
                r = sd_bus_message_append_basic(m, 's', key);
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'v', signature);
        if (r >= 0)
                r = sd_bus_message_append_basic(m, signature[0], value);
        if (r >= 0)
                r = sd_bus_message_close_container(m);

        return r < 0 ? r : sd_bus_message_close_container(m);
}

/* Those that more than one method has; closes the dictionary. */
int append_common_options(sd_bus_message *m, const Arguments *a)
{
        int r = 0, yes = true;

        if (a->foreign)
                r = append_option(m, "foreign", "b", &yes);
        if (r >= 0 && a->timeout_usec > 0)
                r = append_option(m, "timeout_usec", "t", &a->timeout_usec);

        return r < 0 ? r : sd_bus_message_close_container(m);
}
