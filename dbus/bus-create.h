/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The methods of the Manager that create instances: handlers for the vtable in bus-manager.c. */

#include <systemd/sd-bus.h>

int bus_method_create(sd_bus_message *call, void *userdata, sd_bus_error *ret_error);
/* Creates the instance of a definition. */
int bus_method_start(sd_bus_message *call, void *userdata, sd_bus_error *ret_error);
