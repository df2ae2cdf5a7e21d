/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Reads JSON files that people may have edited, with json-glib, but more strictly: json-glib also accepts
 * comments, assignments, octal numbers and a member that occurs twice, and its version 1.6 recurses without a
 * limit. */

#include <json-glib/json-glib.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

typedef struct StrictJson {
        JsonParser *parser; /* owned */
        JsonObject *object; /* borrowed from the parser */
        guint members;      /* members of all objects, with repeated members */
} StrictJson;

/* Read a text with a NUL byte at its end, at most max_size bytes, that is one object whose member "version" is
 * `version`. Errors: UNSUPPORTED: the version is newer; INVALID: any other fault. */
int strict_json_read(StrictJson *j, const char *text, size_t size, size_t max_size, int version,
                     VgpudError *reterr);
void strict_json_done(StrictJson *j);
#define _cleanup_strict_json_ _cleanup_(strict_json_done)

/* INVALID unless the object has exactly `known` members, and all objects together have `members`. */
int strict_json_check_members(const StrictJson *j, guint known, guint members, VgpudError *reterr);

/* The text, borrowed; NULL if the member is missing or is no text. */
const char *strict_json_get_text(JsonObject *object, const char *name);
/* The integer, or -1 if the member is missing or is no integer from 0 to G_MAXINT64. */
int64_t strict_json_get_number(JsonObject *object, const char *name);

/* A member that is a list of objects with the members "name" and "value": VgpuAttribute. The reader adds to
 * `attributes`; a missing member is an empty list. Error: INVALID. */
void strict_json_add_attributes(JsonBuilder *builder, const char *name, const GPtrArray *attributes);
int strict_json_get_attributes(JsonObject *object, const char *name, GPtrArray *attributes, guint *known,
                               VgpudError *reterr);

/* The text of an object that the builder has completed, with a newline at its end. */
char *strict_json_write(JsonBuilder *builder, size_t *ret_size);
