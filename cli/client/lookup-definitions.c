/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "cli/client/lookup-definitions.h"

#include "cli/client/call-error.h"
#include "dbus/bus-names.h"

static int definitions_build(sd_bus_message *m, const char *gpu, LookupDetail detail)
{
        static const char *const names[] = { "uuid", "name", "state", NULL };
        static const char *const table[] = { "uuid",  "name",         "type",  "gpu",     "parent", "pool",
                                             "owner", "created_usec", "state", "differs", NULL };
        int r;

        r = client_options_begin(m);
        if (r >= 0 && gpu)
                r = sd_bus_message_append(m, "{sv}", "gpu", "s", gpu);
        if (r >= 0)
                r = lookup_append_columns(m, detail == LOOKUP_NAMES ? names : table);

        return r < 0 ? r : client_options_end(m);
}

int lookup_definitions(Client *c, Host *h, const char *gpu, LookupDetail detail)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL, *answer = NULL;
        _cleanup_error_info_ ErrorInfo error = { 0 };
        int r, status = 0;

        m = client_call_new(c, VGPUD_PATH_ROOT, VGPUD_INTERFACE_MANAGER, "ListDefinitions", &status);
        if (!m)
                return status;

        r = definitions_build(m, gpu, detail);
        if (r < 0)
                return client_not_sent(c, r);

        if (!client_call(c, m, &answer, &error))
                return client_failed(c, &error, gpu, CLIENT_ASKED);

        r = host_read_table(h, OBJECT_DEFINITION, answer);

        return r < 0 ? client_unreadable(c, r) : 0;
}

int lookup_definition_if_present(Client *c, Host *h, const char *uuid, DefinitionInfo **ret)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL, *answer = NULL;
        _cleanup_error_info_ ErrorInfo error = { 0 };
        int r, status = 0;

        *ret = NULL;

        m = client_call_new(c, VGPUD_PATH_ROOT, VGPUD_INTERFACE_MANAGER, "GetDefinition", &status);
        if (!m)
                return status;

        r = client_append_word(m, uuid);
        if (r < 0)
                return client_not_sent(c, r);

        if (!client_call(c, m, &answer, &error))
                return vgpud_error_code_from_dbus(error.name) == VGPUD_ERROR_NO_SUCH_DEFINITION
                                       ? 0
                                       : client_failed(c, &error, uuid, CLIENT_ASKED);

        r = host_read_definition(h, uuid, answer, NULL, ret);

        return r < 0 ? client_unreadable(c, r) : 0;
}
