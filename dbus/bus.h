/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The face of the model on the bus: the objects below /org/vgpud1, their signals, and the gate before their
 * methods. */

#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "daemon/forward.h"

typedef struct Bus Bus;

/* Put the objects of `m` on an open connection (of which it takes a reference, and which it attaches to the
 * event loop if that has not been done), and become the receiver of the manager's events. The connection needs
 * no bus daemon. */
int bus_new(sd_event *event, Model *m, sd_bus *bus, Bus **ret);

/* The last step of the start: from then on clients find us. -EEXIST when somebody has the name. */
int bus_request_name(Bus *b);

/* Take everything back. Calls that wait for a job are answered with CANCELED, calls that wait for polkit are
 * dropped. Flush and close the connection after it. The manager must still be there. */
Bus *bus_free(Bus *b);
