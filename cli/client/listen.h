/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The signals that a waiting vgpuctl subscribes to. Each subscription costs two messages, so the rare signals
 * come later. Userdata of the handlers is the client. All return 0 or a negative errno. */

#include <systemd/sd-bus.h>

#include "cli/client/client.h"

/* JobRemoved, and the end of the connection. Before the first call is sent: the bus keeps the order. */
int listen_to_ends(Client *c, sd_bus_message_handler_t on_job_removed,
                   sd_bus_message_handler_t on_disconnected);

/* Changed jobs, which may be stuck, and the end of the daemon. Afterwards ask for what was not heard before. */
int listen_to_all(Client *c, sd_bus_message_handler_t on_job_changed, sd_bus_message_handler_t on_owner);
bool listens_to_all(const Client *c);
