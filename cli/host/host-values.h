/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Reading values of properties from messages. A message is at a variant before a value is read. A value of an
 * unexpected type is skipped, because a newer daemon may send more. */

#include <systemd/sd-bus.h>

#include "cli/host/fields.h"

/* Rows: an array with a structure per element: GPtrArray of TypeInfo, ModeInfo, VfInfo or PairInfo. */
typedef struct RowKind RowKind;
const RowKind *field_rows(const Field *f); /* NULL: it is something else */
GPtrArray *rows_new(const Field *f);

/* Enter it when it holds this signature; else skip it and return 0. */
int enter_variant(sd_bus_message *m, const char *signature);
/* Inside the variant. Returns 1 when the value is another one than before. */
int field_read(sd_bus_message *m, const Field *f, void *object);
/* Call `reader` for each key of an a{sv}, the message at the variant. */
typedef int (*EntryReader)(sd_bus_message *m, const char *key, void *userdata);
int read_dictionary(sd_bus_message *m, EntryReader reader, void *userdata);

TypeInfo *type_info_new(const char *id); /* nothing known but the id */
void hand_over_done(HandOver *o);
