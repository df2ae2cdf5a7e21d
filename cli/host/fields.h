/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The tables of the members of objects: for each member the name on the bus, the offset in the structure, and
 * the form in JSON. The readers of D-Bus messages and the writers of JSON use these tables. */

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "cli/host/host.h"

typedef enum FieldFlags {
        NULL_IF_EMPTY = 1 << 0,    /* "" is null */
        NULL_IF_ZERO = 1 << 1,     /* 0 is null */
        NULL_IF_NEGATIVE = 1 << 2, /* -1 is null */
        NULL_IF_MAX = 1 << 3,      /* UINT32_MAX or UINT64_MAX is null; a new object has this value */
        IS_JOB = 1 << 4,           /* path of a job: JSON has the number */
        IS_GPU = 1 << 5,           /* path of a GPU: JSON has the name */
        IS_INSTANCES = 1 << 6,     /* paths of instances: JSON has the UUIDs */
        IS_HEX4 = 1 << 7,          /* "0x10de" */
        IS_HEX6 = 1 << 8,          /* "0x030200" */
        IS_NUMBER = 1 << 9,        /* an int64_t, -1 for UINT32_MAX and UINT64_MAX */
        ONLY_FULL = 1 << 10,       /* only in the JSON of an object in full (show, monitor --full) */
        NOT_ANNOUNCED = 1 << 11,   /* changes are not announced */
} FieldFlags;

typedef struct Field {
        const char *property; /* NULL: no property, only a key of a dictionary or a column */
        const char *key;
        const char *signature;
        size_t offset;
        unsigned flags;
} Field;

typedef struct FieldTable {
        const Field *fields;
        size_t n_fields;
} FieldTable;

typedef struct ObjectKindInfo {
        const char *name;      /* "gpu", "instance", "definition", "job" */
        const char *interface; /* NULL: no object on the bus */
        FieldTable table;
        size_t size;
} ObjectKindInfo;

extern const ObjectKindInfo object_kinds[_OBJECT_KIND_MAX];
extern const FieldTable type_fields; /* constant members of TypeInfo */
extern const FieldTable vf_fields;

const char *object_kind_to_string(ObjectKind kind);
ObjectKind object_kind_from_interface(const char *interface); /* _OBJECT_KIND_INVALID: no such interface */

const Field *field_find(const FieldTable *t, const char *key);
const Field *field_find_property(const FieldTable *t, const char *property);

/* fields_init() gives all members the values that mean "unknown"; fields_done() releases the members. */
void fields_init(const FieldTable *t, void *object);
void fields_done(const FieldTable *t, void *object);

/* The member that a field describes. */
#define AT(type, object, field) ((type *)(void *)((char *)(object) + (field)->offset))
#define AT_CONST(type, object, field) \
        ((__typeof__(type) const *)(const void *)((const char *)(object) + (field)->offset))

/* Forms of members. */
typedef enum FieldForm {
        FORM_TEXT,
        FORM_LIST,
        FORM_NUMBER, /* also a boolean */
        FORM_PAIRS,
        FORM_MODES,
        FORM_DETAILS,
        FORM_FAILURES,
} FieldForm;

FieldForm field_form(const Field *f);
