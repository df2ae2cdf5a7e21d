/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "dbus/bus-log-control.h"

#include <string.h>

#include "base/log.h"
#include "base/text.h"

static const char *const log_level_table[] = {
        [LOG_EMERG] = "emerg",     [LOG_ALERT] = "alert",   [LOG_CRIT] = "crit", [LOG_ERR] = "err",
        [LOG_WARNING] = "warning", [LOG_NOTICE] = "notice", [LOG_INFO] = "info", [LOG_DEBUG] = "debug",
};

/* The logger chooses between the journal and stderr by itself. */
static const char log_target[] = "auto";

static int property_get_log_level(sd_bus *bus, const char *path, const char *interface, const char *property,
                                  sd_bus_message *reply, void *userdata, sd_bus_error *ret_error)
{
        int level = log_get_max_level();

        g_assert(level >= LOG_EMERG && level <= LOG_DEBUG);

        return sd_bus_message_append(reply, "s", log_level_table[level]);
}

static int property_set_log_level(sd_bus *bus, const char *path, const char *interface, const char *property,
                                  sd_bus_message *value, void *userdata, sd_bus_error *ret_error)
{
        const char *name;
        int r;

        r = sd_bus_message_read(value, "s", &name);
        if (r < 0)
                return r;

        for (int level = LOG_EMERG; level <= LOG_DEBUG; level++)
                if (strcmp(log_level_table[level], name) == 0) {
                        log_set_max_level(level);
                        return 0;
                }

        return sd_bus_error_setf(ret_error, SD_BUS_ERROR_INVALID_ARGS, "there is no log level \"%s\"",
                                 TEXT_QUOTE(name));
}

static int property_get_log_target(sd_bus *bus, const char *path, const char *interface, const char *property,
                                   sd_bus_message *reply, void *userdata, sd_bus_error *ret_error)
{
        return sd_bus_message_append(reply, "s", log_target);
}

static int property_set_log_target(sd_bus *bus, const char *path, const char *interface, const char *property,
                                   sd_bus_message *value, void *userdata, sd_bus_error *ret_error)
{
        const char *name;
        int r;

        r = sd_bus_message_read(value, "s", &name);
        if (r < 0)
                return r;

        if (strcmp(name, log_target) != 0)
                return sd_bus_error_setf(ret_error, SD_BUS_ERROR_INVALID_ARGS,
                                         "log target \"%s\" is not supported, only \"%s\" is", TEXT_QUOTE(name),
                                         log_target);

        return 0;
}

static int property_get_syslog_identifier(sd_bus *bus, const char *path, const char *interface,
                                          const char *property, sd_bus_message *reply, void *userdata,
                                          sd_bus_error *ret_error)
{
        return sd_bus_message_append(reply, "s", "vgpud");
}

/* The admission lets only root write properties. */
const sd_bus_vtable bus_log_control_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_WRITABLE_PROPERTY("LogLevel", "s", property_get_log_level, property_set_log_level, 0,
                                 SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_WRITABLE_PROPERTY("LogTarget", "s", property_get_log_target, property_set_log_target, 0,
                                 SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_PROPERTY("SyslogIdentifier", "s", property_get_syslog_identifier, 0,
                        SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_VTABLE_END,
};
