/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Helpers for all objects: paths, the reader of options, writers of dictionaries, getters of plain properties.
 */

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-bus.h>

#include "base/error.h"
#include "base/macros.h"

/* Object paths; the caller frees them. */
char *bus_path_gpu(const char *name);
char *bus_path_instance(const char *uuid);
char *bus_path_job(uint32_t id);

/* The object of a path. The exact path is required, so that each object has one path; NULL, false or 0 for any
 * other. The caller frees the string. */
char *bus_path_to_gpu(const char *path);
bool bus_path_to_instance(const char *path, char uuid[static 37]);
uint32_t bus_path_to_job(const char *path);

/* One option of a method. `target` is written if the option is given; its type by signature:
 *   "b" bool *    "u" uint32_t *    "t" uint64_t *    "i" int32_t *
 *   "s" const char ** (borrowed from the message)
 *   "a(ss)" GPtrArray ** of VgpuAttribute, which the caller frees
 * min and max are for "u" and "t". */
typedef struct BusOption {
        const char *name;
        const char *signature;
        void *target;
        uint64_t min, max; /* both 0: any value */
} BusOption;

/* The option timeout_usec of methods that queue jobs. */
#define BUS_TIMEOUT_OPTION(variable)                                                \
        {                                                                           \
                "timeout_usec", "t", &(variable), USEC_PER_SEC, 3600 * USEC_PER_SEC \
        }

/* Read a{sv}. INVALID names an option that is not in the table, has another type, is given twice or is out of
 * range. */
int bus_read_options(sd_bus_message *m, const BusOption *options, size_t n_options, VgpudError *reterr);

/* Largest number of attributes in an option; each becomes a write to the kernel. */
#define BUS_ATTRIBUTES_MAX 64U

/* Append a string; NULL is "". Bytes of the kernel that are not UTF-8 are replaced: the bus daemon would end
 * the connection. */
int bus_append_text(sd_bus_message *m, const char *text);

/* Append {key: <value>} to an open a{sv}. The second skips NULL, the third and fourth skip 0. */
int bus_append_entry(sd_bus_message *m, const char *key, const char *signature, ...);
int bus_append_entry_string(sd_bus_message *m, const char *key, const char *value);
int bus_append_entry_u32(sd_bus_message *m, const char *key, uint32_t value);
int bus_append_entry_u64(sd_bus_message *m, const char *key, uint64_t value);
int bus_append_entry_strings(sd_bus_message *m, const char *key, char *const *list); /* skips NULL */

/* Append an array of object paths of instances (char *: UUIDs). */
int bus_append_instance_paths(sd_bus_message *m, const GPtrArray *uuids);

/* Define a getter: `expression` is the value of the property, in terms of `object`. Strings have a macro of
 * their own, and may be NULL. */
#define BUS_DEFINE_GETTER(function, Type, object, signature, expression)                                \
        static int function(sd_bus *bus, const char *path, const char *interface, const char *property, \
                            sd_bus_message *reply, void *userdata, sd_bus_error *ret_error)             \
        {                                                                                               \
                const Type *object = userdata;                                                          \
                return sd_bus_message_append(reply, signature, expression);                             \
        }

#define BUS_DEFINE_TEXT_GETTER(function, Type, object, expression)                                      \
        static int function(sd_bus *bus, const char *path, const char *interface, const char *property, \
                            sd_bus_message *reply, void *userdata, sd_bus_error *ret_error)             \
        {                                                                                               \
                const Type *object = userdata;                                                          \
                return bus_append_text(reply, expression);                                              \
        }

/* Define a getter of an object path: `expression` is a newly allocated string, NULL for "/". */
#define BUS_DEFINE_PATH_GETTER(function, Type, object, expression)                                      \
        static int function(sd_bus *bus, const char *path, const char *interface, const char *property, \
                            sd_bus_message *reply, void *userdata, sd_bus_error *ret_error)             \
        {                                                                                               \
                const Type *object = userdata;                                                          \
                g_autofree char *made = expression;                                                     \
                return sd_bus_message_append(reply, "o", made ? made : "/");                            \
        }

/* A property and the bits of a change that concern it. */
typedef struct BusChange {
        unsigned bits;
        const char *property;
} BusChange;

/* The properties of the bits in `changes`: a newly allocated NULL-terminated list of borrowed names. */
char **bus_changed_properties(const BusChange *table, size_t n, unsigned changes);

/* Short names for the tables of members. */
#define BUS_PROPERTY(name, signature, getter) SD_BUS_PROPERTY(name, signature, getter, 0, 0)
#define BUS_PROPERTY_CONST(name, signature, getter) \
        SD_BUS_PROPERTY(name, signature, getter, 0, SD_BUS_VTABLE_PROPERTY_CONST)
#define BUS_PROPERTY_CHANGES(name, signature, getter) \
        SD_BUS_PROPERTY(name, signature, getter, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE)
