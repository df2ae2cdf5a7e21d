/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Objects as JSON. */

#include "cli/host/host.h"
#include "cli/output/json.h"

/* JSON of one object; of a type with what has to be known of its GPU, where it does not stand in that. */
void json_object_info(Json *j, const char *key, ObjectKind kind, const void *object);
void json_type_info(Json *j, const char *key, const TypeInfo *t, const GpuInfo *gpu);
void json_modes(Json *j, const char *key, const GPtrArray *modes);
/* The value under a key, for a line of text. */
char *object_value_text(ObjectKind kind, const void *object, const char *key);
void json_objects(Json *j, const char *key, const Host *h, ObjectKind kind);

/* Prints {key: [objects]}; `gpu_path` (may be NULL): only the instances of this GPU. Returns 0. */
int print_objects_json(const char *key, const Host *h, ObjectKind kind, const char *gpu_path);
