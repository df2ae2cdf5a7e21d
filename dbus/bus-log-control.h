/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* org.freedesktop.LogControl1: the log level of the running daemon, for "systemctl service-log-level vgpud".
 * Only root may change the level. */

#include <systemd/sd-bus.h>

#define BUS_LOG_CONTROL_PATH      "/org/freedesktop/LogControl1"
#define BUS_LOG_CONTROL_INTERFACE "org.freedesktop.LogControl1"

/* The handlers do not use the userdata of the object. */
extern const sd_bus_vtable bus_log_control_vtable[];
