/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The signals that a waiting vgpuctl subscribes to. Each subscription costs two messages, so most verbs
 * subscribe to the rare signals only if the wait is not over soon. The handlers get the client as userdata. */

#include <systemd/sd-bus.h>

#include "cli/client/client.h"

/* Subscribes to JobRemoved and to the end of the connection. Call it before the first call is sent, so that no
 * signal is missed: the bus keeps the order of messages. Returns 0 or a negative errno. */
int listen_to_ends(Client *c, sd_bus_message_handler_t on_job_removed,
                   sd_bus_message_handler_t on_disconnected);

/* Also subscribes to changes of jobs, such as a job that gets stuck, and to the end of the daemon. The caller
 * must then ask for the jobs, because earlier changes sent it no signal. Returns 0 or a negative errno. */
int listen_to_all(Client *c, sd_bus_message_handler_t on_job_changed, sd_bus_message_handler_t on_owner);
/* True if listen_to_all() has subscribed. */
bool listens_to_all(const Client *c);
