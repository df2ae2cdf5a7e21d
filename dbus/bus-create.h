/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The method of the Manager that creates instances: a handler for the vtable in bus-manager.c. */

#include <systemd/sd-bus.h>

int bus_method_create(sd_bus_message *call, void *userdata, sd_bus_error *ret_error);
