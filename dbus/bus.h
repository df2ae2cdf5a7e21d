/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The model on the bus: registers the objects below /org/vgpud1 on a connection and receives the events of the
 * model. The signals are in bus-announce.h, the methods in the file of their interface. Main thread only. */

#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "base/macros.h"
#include "daemon/forward.h"
#include "dbus/bus-authz.h"

typedef struct BusAnnounce BusAnnounce;

/* The fields are for dbus/ alone. */
typedef struct Bus {
        sd_bus *bus;             /* ref */
        Model *model;            /* borrowed */
        BusAdmission *admission; /* owned */
        BusAuthz *authz;         /* owned */
        bool attached;           /* bus_new() attached the connection to the event loop */
        GPtrArray *slots;        /* owned: sd_bus_slot of each registration */
        BusAnnounce *announce;   /* owned */
        GHashTable *waiting;     /* id of a job -> WaiterJob of the call that waits; see bus-request.c */
} Bus;

/* Register the objects of `m` on an open connection and receive the model's events. Takes a reference to the
 * connection, and attaches it to the event loop unless the caller has done so. The connection needs no bus
 * daemon. */
int bus_new(sd_event *event, Model *m, sd_bus *bus, Bus **ret);

/* Make the daemon reachable: the last step of its start. -EEXIST: another program owns the name. */
int bus_request_name(Bus *b);

/* Unregister all objects. Calls waiting for a job get CANCELED, calls waiting for polkit get no answer. The
 * model must still exist; flush and close the connection afterwards. */
Bus *bus_free(Bus *b);

/* The Bus whose method is being called. */
Bus *bus_of_call(sd_bus_message *call);
