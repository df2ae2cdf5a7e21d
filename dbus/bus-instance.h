/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* org.vgpud1.Instance */

#include "dbus/bus.h"

extern const sd_bus_vtable bus_instance_vtable[];

/* The names of the properties for `changes` (bits of InstanceChange); see bus_changed_properties(). */
char **bus_instance_properties(unsigned changes);

/* The object path, newly allocated. */
char *bus_instance_path(const void *instance);

/* Graphics memory of the instance; UINT64_MAX: unknown. */
uint64_t bus_instance_memory_bytes(const Instance *instance);

/* Append a{sv}: the answer of GetHandOver. */
int bus_instance_append_hand_over(sd_bus_message *m, const Instance *instance);

/* Append the table of ListInstances. `gpu` NULL: the instances of all GPUs. `columns` NULL: all columns. */
int bus_instance_append_table(sd_bus_message *m, Bus *b, const Gpu *gpu, const GPtrArray *columns);

/* The method DestroyMany of the Manager. */
int bus_instance_destroy_many(Bus *b, sd_bus_message *call, sd_bus_error *ret_error);

/* The methods Destroy of Instance and of Manager. Reads the options from `call`. */
int bus_instance_destroy(Bus *b, sd_bus_message *call, Instance *instance, sd_bus_error *ret_error);
