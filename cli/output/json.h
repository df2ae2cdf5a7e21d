/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A writer of JSON. vgpuctl only writes JSON; json-glib would load GObject and GIO, whose start-up takes longer
 * than the rest of a vgpuctl call. */

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/macros.h"

typedef struct Json {
        GString *text;
        unsigned depth;
        bool compact; /* one line */
        bool more;    /* the object or array at this depth has an element already */
} Json;

Json json_new(bool compact);

/* `key` is NULL in arrays and at the top. */
void json_object(Json *j, const char *key);
void json_object_end(Json *j);
void json_array(Json *j, const char *key);
void json_array_end(Json *j);
void json_string(Json *j, const char *key, const char *value); /* NULL: null */
void json_u64(Json *j, const char *key, uint64_t value);
void json_u64_or_null(Json *j, const char *key, uint64_t value); /* 0: null */
void json_i64(Json *j, const char *key, int64_t value);
void json_bool(Json *j, const char *key, bool value);
void json_null(Json *j, const char *key);

/* Prints the text and a newline, and releases *j. All objects and arrays must have been ended. */
void json_print(Json *j, FILE *f);
