/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The part of org.vgpud1.Manager that is about definitions: handlers for the vtable in bus-manager.c, and the
 * signals. A definition is no object, so its methods take its UUID or name. The methods queue no job: after the
 * decision of polkit they change the definition and answer. Start is in bus-create.h. */

#include "daemon/forward.h"
#include "dbus/bus.h"

int bus_method_define(sd_bus_message *call, void *userdata, sd_bus_error *ret_error);
int bus_method_edit(sd_bus_message *call, void *userdata, sd_bus_error *ret_error);
int bus_method_undefine(sd_bus_message *call, void *userdata, sd_bus_error *ret_error);
int bus_method_cancel_start(sd_bus_message *call, void *userdata, sd_bus_error *ret_error);
int bus_method_list_definitions(sd_bus_message *call, void *userdata, sd_bus_error *ret_error);
int bus_method_get_definition(sd_bus_message *call, void *userdata, sd_bus_error *ret_error);

/* The method DefineInstance. Reads the options from `call`. */
int bus_definitions_define_instance(Bus *b, sd_bus_message *call, const Instance *instance,
                                    sd_bus_error *ret_error);

/* The signals, as callbacks of ModelEvents; userdata is the Bus. They are sent at once. */
void bus_definitions_on_added(const Definition *definition, void *userdata);
void bus_definitions_on_changed(const Definition *definition, void *userdata);
void bus_definitions_on_removed(const Definition *definition, void *userdata);
