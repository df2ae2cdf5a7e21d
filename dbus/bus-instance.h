/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* org.vgpud1.Instance */

#include "dbus/bus.h"

extern const sd_bus_vtable bus_instance_vtable[];

/* The changed properties (bits of InstanceChange); see bus_changed_properties(). */
char **bus_instance_properties(unsigned changes);

/* The method Destroy of an instance, also under its name in the Manager. Reads the options from `call`. */
int bus_instance_destroy(Bus *b, sd_bus_message *call, Instance *instance, sd_bus_error *ret_error);
