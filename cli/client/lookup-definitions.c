/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "cli/client/lookup-definitions.h"

#include <errno.h>
#include <string.h>

#include "cli/client/call-error.h"
#include "cli/host/values.h"
#include "dbus/bus-names.h"

/* Largest number of missing things that the overview and `list --all` show. */
#define MISSING_SHOWN_MAX 4U

static int definitions_build(sd_bus_message *m, const char *gpu, LookupDetail detail)
{
        static const char *const names[] = { "uuid", "name", "state", NULL };
        static const char *const table[] = { "uuid",      "name",   "type",         "gpu",     "parent",
                                             "pool",      "owner",  "created_usec", "state",   "differs",
                                             "autostart", "reason", "hint",         "hint_id", NULL };
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

/* ---- the readiness ---- */

void readiness_info_done(ReadinessInfo *info)
{
        g_free(info->readiness);
        g_strfreev(info->missing);
        *info = (ReadinessInfo){ 0 };
}

void lookup_readiness(Client *c, uint32_t limit, ReadinessInfo *info)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL, *answer = NULL;
        _cleanup_error_info_ ErrorInfo error = { 0 };
        int r, status;

        if (sd_bus_get_property_string(c->bus, VGPUD_BUS_NAME, VGPUD_PATH_ROOT, VGPUD_INTERFACE_MANAGER,
                                       "Readiness", NULL, &info->readiness) < 0 ||
            strcmp(info->readiness, "ready") == 0)
                return;

        m = client_call_new(c, VGPUD_PATH_ROOT, VGPUD_INTERFACE_MANAGER, "ListMissing", &status);
        r = m ? client_options_begin(m) : -EINVAL;
        if (r >= 0)
                r = sd_bus_message_append(m, "{sv}", "limit", "u", limit);
        if (r >= 0)
                r = client_options_end(m);
        if (r < 0 || !client_call(c, m, &answer, &error))
                return;

        if (value_read_strings(answer, &info->missing) >= 0)
                (void)sd_bus_message_read_basic(answer, 'u', &info->count);
}

/* Scripts run the overview and `list --all`, too: the warning needs no terminal. */
void lookup_warn_missing(Client *c)
{
        _cleanup_readiness_info_ ReadinessInfo info = { 0 };
        unsigned n;

        if (c->args->quiet || c->args->json)
                return;

        lookup_readiness(c, MISSING_SHOWN_MAX, &info);
        if (!info.missing || !info.missing[0])
                return;

        n = g_strv_length(info.missing);
        warn(c->args,
             strcmp(info.readiness, "degraded") == 0
                             ? "The host is degraded, missing instances or settings: %" G_GUINT32_FORMAT
                             : "The host is not ready yet, missing instances or settings: %" G_GUINT32_FORMAT,
             info.count);

        for (char **t = info.missing; *t; t++)
                warn(c->args, "  %s", *t);
        if (info.count > n)
                warn(c->args, "  and %" G_GUINT32_FORMAT " more, which \"vgpuctl wait --ready\" lists",
                     info.count - n);
}

void lookup_json_missing(Client *c, Json *j)
{
        _cleanup_readiness_info_ ReadinessInfo info = { 0 };

        lookup_readiness(c, UINT32_MAX, &info);
        json_string(j, "readiness", info.readiness);
        if (!info.readiness) {
                json_null(j, "missing");
                return;
        }

        json_array(j, "missing");
        for (char **t = info.missing; t && *t; t++)
                json_string(j, NULL, *t);
        json_array_end(j);
}
