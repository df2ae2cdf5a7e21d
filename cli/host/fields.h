/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The one table of properties: how each travels, where it is kept, and how JSON shows it. For host.c
 * and host-values.c, which read them, and host-json.c, which writes them. */

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "cli/host/host.h"

typedef enum FieldFlags {
        NULL_IF_EMPTY = 1 << 0,    /* "" is null */
        NULL_IF_ZERO = 1 << 1,     /* 0 is null */
        NULL_IF_NEGATIVE = 1 << 2, /* -1 is null */
        NULL_IF_MAX = 1 << 3,      /* 4294967295 is null */
        IS_JOB = 1 << 4,           /* path of a job: its number, or null */
        IS_GPU = 1 << 5,           /* path of a GPU: gpu_name */
        IS_INSTANCES = 1 << 6,     /* paths of instances: their UUIDs */
        IS_MODES = 1 << 7,         /* ModeInfo and not TypeInfo, which travel alike */
        NULL_UNLESS_VFS = 1 << 8,  /* of a job: null unless it sets the number of virtual functions */
} FieldFlags;

typedef struct Field {
        const char *property;
        const char *key;
        const char *signature; /* s o b q u t i as ao, that of rows, or a{sv}: HandOver */
        size_t offset;
        unsigned flags;
} Field;

typedef struct FieldTable {
        const Field *fields;
        size_t n_fields;
} FieldTable;

typedef struct ObjectKindInfo {
        const char *name;
        const char *interface;
        FieldTable table;
        size_t size;
} ObjectKindInfo;

extern const ObjectKindInfo object_kinds[_OBJECT_KIND_MAX];
const char *object_kind_to_string(ObjectKind kind); /* "gpu", "instance", "job" */
/* The kind whose interface this is; invalid for other interfaces. */
ObjectKind object_kind_from_interface(const char *interface);

extern const FieldTable type_values;  /* of TypeInfo: char *, char **, bool, rows */
extern const FieldTable type_numbers; /* of TypeInfo: int64_t */

/* The member that a field describes. */
#define AT(type, object, field) ((type *)(void *)((char *)(object) + (field)->offset))
#define AT_CONST(type, object, field) \
        ((__typeof__(type) const *)(const void *)((const char *)(object) + (field)->offset))

static inline bool is_text(const Field *f)
{
        return strcmp(f->signature, "s") == 0 || strcmp(f->signature, "o") == 0;
}

static inline bool is_list(const Field *f)
{
        return strcmp(f->signature, "as") == 0 || strcmp(f->signature, "ao") == 0;
}
