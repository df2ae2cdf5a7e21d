/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "cli/client/listen.h"

#include "dbus/bus-names.h"

/* Indices of Client.matches. */
enum { MATCH_JOB_REMOVED, MATCH_DISCONNECTED, MATCH_JOB_CHANGED, MATCH_OWNER };

int listen_to_ends(Client *c, sd_bus_message_handler_t on_job_removed, sd_bus_message_handler_t on_disconnected)
{
        sd_bus *bus = c->bus;
        int r;

        if (c->matches[MATCH_JOB_REMOVED])
                return 0;

        r = sd_bus_match_signal_async(bus, &c->matches[MATCH_JOB_REMOVED], VGPUD_BUS_NAME, VGPUD_PATH_ROOT,
                                      VGPUD_INTERFACE_MANAGER, "JobRemoved", on_job_removed, NULL, c);
        if (r >= 0)
                r = sd_bus_match_signal_async(bus, &c->matches[MATCH_DISCONNECTED],
                                              "org.freedesktop.DBus.Local", "/org/freedesktop/DBus/Local",
                                              "org.freedesktop.DBus.Local", "Disconnected", on_disconnected,
                                              NULL, c);

        return r;
}

int listen_to_all(Client *c, sd_bus_message_handler_t on_job_changed, sd_bus_message_handler_t on_owner)
{
        sd_bus *bus = c->bus;
        int r;

        if (listens_to_all(c))
                return 0;

        r = sd_bus_add_match_async(
                        bus, &c->matches[MATCH_JOB_CHANGED],
                        "type='signal',sender='" VGPUD_BUS_NAME
                        "',interface='org.freedesktop.DBus.Properties',member='PropertiesChanged',path_namespace='" VGPUD_PATH_JOB
                        "'",
                        on_job_changed, NULL, c);
        if (r >= 0)
                r = sd_bus_add_match_async(
                                bus, &c->matches[MATCH_OWNER],
                                "type='signal',sender='org.freedesktop.DBus',interface='org.freedesktop.DBus',member='NameOwnerChanged',arg0='" VGPUD_BUS_NAME
                                "'",
                                on_owner, NULL, c);

        return r;
}

bool listens_to_all(const Client *c)
{
        return c->matches[MATCH_OWNER];
}
