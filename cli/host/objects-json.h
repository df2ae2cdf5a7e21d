/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Objects as JSON; cli/vgpuctl.schema.json describes the result. */

#include "cli/host/host.h"
#include "cli/output/json.h"

/* One object. `full` adds the members with the flag ONLY_FULL, and the types and VFs of a GPU. */
void json_object_info(Json *j, const char *key, ObjectKind kind, const void *object, bool full);

/* The members that json_object_info() writes, without braces, for an object that gets further members. */
void json_object_members(Json *j, ObjectKind kind, const void *object, bool full);

/* Write one member. False: the object has no member of this key. */
bool json_object_member(Json *j, ObjectKind kind, const void *object, const char *key);

void json_type_info(Json *j, const char *key, const TypeInfo *t, const GpuInfo *gpu);
void json_types(Json *j, const char *key, const GpuInfo *gpu);
void json_vfs(Json *j, const char *key, const GpuInfo *gpu);
void json_modes(Json *j, const char *key, const GPtrArray *modes);
void json_objects(Json *j, const char *key, const Host *h, ObjectKind kind);
void json_all_types(Json *j, const char *key, const Host *h);

/* Prints {key: [objects]}. Returns 0. */
int print_objects_json(const char *key, const Host *h, ObjectKind kind);

void json_strings(Json *j, const char *key, char *const *list); /* list may be NULL */
void json_number(Json *j, const char *key, int64_t value);      /* negative: null */

/* The value of a member, for a line of text. */
char *object_value_text(ObjectKind kind, const void *object, const char *key);
