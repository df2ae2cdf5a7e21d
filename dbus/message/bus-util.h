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

/* The object of a path. Only the exact path is accepted, so that each object has only one path; any other text
 * gives NULL, false or 0. The caller frees the string. */
char *bus_path_to_gpu(const char *path);
bool bus_path_to_instance(const char *path, char uuid[static 37]);
uint32_t bus_path_to_job(const char *path);

/* ---- limits of calls ---- */

/* The largest arguments and options of calls. Every text, list and option has a limit, which is checked before
 * any other code reads the value: a text of 30 MiB must not be kept until polkit answers, copied into a record,
 * or sent back in an error that no bus delivers. The limits of options are in their tables (BusOption.max).
 *
 * libsystemd answers some calls without a handler and puts the object path or an argument into its error. A
 * filter refuses such calls first. */

/* Bytes of a text. */
#define BUS_MAX_GPU      800U /* the path of a GPU encodes each byte of a sysfs name as up to three bytes */
#define BUS_MAX_INSTANCE 255U /* path, UUID or name */
#define BUS_MAX_TYPE     255U
#define BUS_MAX_UUID     64U
#define BUS_MAX_NAME     255U
#define BUS_MAX_PARENT   255U
#define BUS_MAX_STRATEGY 32U
#define BUS_MAX_POOL     255U
#define BUS_MAX_STATE    32U
#define BUS_MAX_MODE     64U
#define BUS_MAX_VALUE    255U

/* Entries of the option "attributes", each of which becomes a write to the kernel, and the bytes of all their
 * names and values. polkit gets each attribute as a part of the details. */
#define BUS_MAX_ATTRIBUTES      64U
#define BUS_MAX_ATTRIBUTE_BYTES 4096U

/* Instances of one call. */
#define BUS_MAX_INSTANCES 1024U

/* Entries of the option "columns" of the List methods. */
#define BUS_MAX_COLUMNS 64U

/* Read a text argument of a call. INVALID names the argument if the text has more than `max` bytes. */
int bus_read_text(sd_bus_message *call, const char *argument, size_t max, const char **ret, VgpudError *reterr);

/* Turn the path of a GPU into a sysfs name; other words and NULL stay. *ret_owned is owned. INVALID: *word is
 * another path. */
int bus_read_gpu_word(const char **word, char **ret_owned, VgpudError *reterr);

/* INVALID if the text has more than `max` bytes. `what`: "argument", "option" or "an entry of argument". */
int bus_check_text(const char *what, const char *name, const char *text, size_t max, VgpudError *reterr);

/* ---- options ---- */

/* One option of a method. If the option is given, its value is stored in `target`, whose type follows from the
 * signature. "b": bool; "u": uint32_t; "t": uint64_t; "i": int32_t; "s": const char *, borrowed from the
 * message; "as": GPtrArray * of const char *, which are borrowed from the message, while the caller frees the
 * array; "a(ss)": GPtrArray * of VgpuAttribute, which the caller frees.
 * `max` is the largest number of bytes of "s" or of entries of an array, and never 0 for these. */
typedef struct BusOption {
        const char *name;
        const char *signature;
        void *target;
        uint64_t min, max; /* range of "u" and "t"; both 0: any value */
        bool *given;       /* set to true if the option is given; NULL: not needed */
} BusOption;

/* Every method takes this option; see bus_error_answer(). */
#define BUS_OPTION_ERROR_DETAILS "error_details"

/* Read a{sv}. INVALID names an option that is not in the table, has another type, is given twice or is out of
 * range. */
int bus_read_options(sd_bus_message *m, const BusOption *options, size_t n_options, VgpudError *reterr);

/* Join attributes (VgpuAttribute), one line "NAME=VALUE" each; newly allocated, "" for NULL. The text is
 * unambiguous: a name has no "=", and neither a name nor a value has a newline. */
char *bus_join_attributes(const GPtrArray *attributes);

/* Append a string; NULL is "". Replaces bytes that are not UTF-8, because the kernel may show such bytes and
 * the bus daemon would end the connection. */
int bus_append_text(sd_bus_message *m, const char *text);
/* Append a string as bus_append_text() does, cut to `max` bytes: for properties, because they must fit into
 * signals. */
int bus_append_short_text(sd_bus_message *m, const char *text, size_t max);
#define BUS_SHORT_TEXT_MAX 255U

/* Append a number of the basic type `type`: 'u', 't', 'i', 'q' or 'b'. Faster than sd_bus_message_append(),
 * which parses the signature: answers have thousands of numbers. */
int bus_append_number(sd_bus_message *m, char type, uint64_t value);

/* Append {key: <value>} to an open a{sv}. bus_append_entry_string() appends nothing for NULL, and
 * bus_append_entry_u32() and bus_append_entry_u64() append nothing for 0. */
int bus_append_entry(sd_bus_message *m, const char *key, const char *signature, ...);
int bus_append_entry_string(sd_bus_message *m, const char *key, const char *value);
int bus_append_entry_u32(sd_bus_message *m, const char *key, uint32_t value);
int bus_append_entry_u64(sd_bus_message *m, const char *key, uint64_t value);
int bus_append_strings(sd_bus_message *m, char *const *list); /* append as; NULL is an empty list */
int bus_append_entry_strings(sd_bus_message *m, const char *key, char *const *list); /* NULL: nothing */

/* Open and close {key: <value>} in an open a{sv}. The caller appends the value in between. */
int bus_open_entry(sd_bus_message *m, const char *key, const char *signature);
int bus_close_entry(sd_bus_message *m);

/* Append an array of object paths of the first `max` instances (char *: UUIDs). */
int bus_append_instance_paths(sd_bus_message *m, const GPtrArray *uuids, size_t max);
#define BUS_INSTANCES_MAX 32U /* limit of paths in a signal, an error or a row of a table */

/* ---- tables ---- */

/* A column of a table: `append` appends the element of a row. */
typedef struct BusColumn {
        const char *name;
        const char *signature; /* signature of an element */
        int (*append)(sd_bus_message *m, const void *row);
} BusColumn;

/* Define the `append` of a column: `expression` is the element, in terms of `row`. BUS_DEFINE_COLUMN takes a
 * number, BUS_DEFINE_STRING_COLUMN an object path or valid UTF-8, and BUS_DEFINE_TEXT_COLUMN any text. */
#define BUS_DEFINE_COLUMN(function, Type, row, signature, expression)                \
        static int function(sd_bus_message *m, const void *p)                        \
        {                                                                            \
                const Type *row = p;                                                 \
                return bus_append_number(m, (signature)[0], (uint64_t)(expression)); \
        }
#define BUS_DEFINE_STRING_COLUMN(function, Type, row, signature, expression)       \
        static int function(sd_bus_message *m, const void *p)                      \
        {                                                                          \
                const Type *row = p;                                               \
                return sd_bus_message_append_basic(m, (signature)[0], expression); \
        }
#define BUS_DEFINE_TEXT_COLUMN(function, Type, row, expression) \
        static int function(sd_bus_message *m, const void *p)   \
        {                                                       \
                const Type *row = p;                            \
                return bus_append_text(m, expression);          \
        }

/* Copy the columns of these names (const char *; NULL: all) to `ret`, which has `n` elements. Returns the
 * number of copied columns. */
size_t bus_select_columns(const BusColumn *columns, size_t n, const GPtrArray *names, BusColumn *ret);

/* Append a{sv} with one array per column. */
int bus_append_table(sd_bus_message *m, const BusColumn *columns, size_t n, const GPtrArray *rows);

/* Append the table of objects: the column object_path and a column per property in the vtable, named in
 * snake_case. `except` is a NULL-terminated list of properties. `columns`: only the columns of these names
 * (const char *); NULL: all. */
int bus_append_object_table(sd_bus_message *m, const sd_bus_vtable *vtable, const char *const *except,
                            char *(*path_of)(const void *object), const GPtrArray *objects,
                            const GPtrArray *columns);

/* "MemoryUsedBytes" -> "memory_used_bytes", newly allocated. */
char *bus_snake_case(const char *property);

/* ---- properties ---- */

/* Define a getter of a number: `expression` is the value of the property, in terms of `object`. The macros
 * below define getters of strings. A string may be NULL, and is cut, because an object must fit into one
 * signal. */
#define BUS_DEFINE_GETTER(function, Type, object, signature, expression)                                \
        static int function(sd_bus *bus, const char *path, const char *interface, const char *property, \
                            sd_bus_message *reply, void *userdata, sd_bus_error *ret_error)             \
        {                                                                                               \
                const Type *object = userdata;                                                          \
                return bus_append_number(reply, (signature)[0], (uint64_t)(expression));                \
        }

#define BUS_DEFINE_SHORT_TEXT_GETTER(function, Type, object, expression, max)                           \
        static int function(sd_bus *bus, const char *path, const char *interface, const char *property, \
                            sd_bus_message *reply, void *userdata, sd_bus_error *ret_error)             \
        {                                                                                               \
                const Type *object = userdata;                                                          \
                return bus_append_short_text(reply, expression, max);                                   \
        }
#define BUS_DEFINE_TEXT_GETTER(function, Type, object, expression) \
        BUS_DEFINE_SHORT_TEXT_GETTER(function, Type, object, expression, BUS_SHORT_TEXT_MAX)

/* Define a getter of an object path: `expression` is a newly allocated string, NULL for "/". */
#define BUS_DEFINE_PATH_GETTER(function, Type, object, expression)                                      \
        static int function(sd_bus *bus, const char *path, const char *interface, const char *property, \
                            sd_bus_message *reply, void *userdata, sd_bus_error *ret_error)             \
        {                                                                                               \
                const Type *object = userdata;                                                          \
                g_autofree char *made = expression;                                                     \
                return sd_bus_message_append_basic(reply, 'o', made ? made : "/");                      \
        }

/* A property and the bits of a change that concern it. */
typedef struct BusChange {
        unsigned bits;
        const char *property;
} BusChange;

/* The properties of the bits in `changes`: a newly allocated NULL-terminated list of borrowed names. */
char **bus_changed_properties(const BusChange *table, size_t n, unsigned changes);

/* Short names for vtables. A BUS_PROPERTY changes without a signal. */
#define BUS_PROPERTY(name, signature, getter) SD_BUS_PROPERTY(name, signature, getter, 0, 0)
#define BUS_PROPERTY_CONST(name, signature, getter) \
        SD_BUS_PROPERTY(name, signature, getter, 0, SD_BUS_VTABLE_PROPERTY_CONST)
#define BUS_PROPERTY_CHANGES(name, signature, getter) \
        SD_BUS_PROPERTY(name, signature, getter, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE)
#define BUS_PROPERTY_INVALIDATED(name, signature, getter) \
        SD_BUS_PROPERTY(name, signature, getter, 0, SD_BUS_VTABLE_PROPERTY_EMITS_INVALIDATION)
