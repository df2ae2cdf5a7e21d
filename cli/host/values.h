/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Values as D-Bus carries them. Results are negative errnos, or 0, or 1 where a comment says so. */

#include <systemd/sd-bus.h>

#include "cli/host/fields.h"

GPtrArray *pairs_new(void);
GPtrArray *modes_new(void);

#define JOB_DETAILS_INIT ((JobDetails){ .count = -1, .foreign = -1 })
void job_details_done(JobDetails *d);

/* Enters the variant and returns 1 if the contents have this signature; else skips the variant and returns 0.
 */
int value_enter(sd_bus_message *m, const char *signature);

/* Reads a value, inside its variant or array. Returns 1 if the value differs from the old one. */
int field_read(sd_bus_message *m, const Field *f, void *object);

/* Reads one text into *value (may be NULL before). Returns 1 if the text differs from the old one. */
int value_read_string(sd_bus_message *m, char type, char **value);
int value_read_strings(sd_bus_message *m, char ***ret);

/* Calls `reader` for each entry of a dictionary; the message is at the value then. `entry` is the signature of
 * an entry without braces, "oa{sv}"; its key is a text or a path. */
typedef int (*EntryReader)(sd_bus_message *m, const char *key, void *userdata);
int value_read_entries(sd_bus_message *m, const char *entry, EntryReader reader, void *userdata);
/* Calls `reader` for each entry of an a{sv}. */
int value_read_dictionary(sd_bus_message *m, EntryReader reader, void *userdata);

/* Part of an EntryReader: reads the value into the text of the row with this key, or skips the value if no row
 * has the key. The table ends with a row without key. */
typedef struct TextEntry {
        const char *key;
        char **value;
} TextEntry;
int value_read_texts(sd_bus_message *m, const char *key, const TextEntry *entries);
