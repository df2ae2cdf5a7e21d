/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Tables for people. On a terminal that is too narrow, columns with COLUMN_SHRINK are cut. On a wide terminal
 * and in a file, no cell is cut. */

#include <stdbool.h>

#include "base/macros.h"
#include "cli/output/terminal.h"

typedef enum ColumnFlags {
        COLUMN_RIGHT = 1 << 0,
        COLUMN_SHRINK = 1 << 1,
} ColumnFlags;

typedef struct Column {
        const char *title;
        unsigned flags;
} Column;

typedef struct Table Table;

Table *table_new(const Column *columns, unsigned n_columns); /* columns: borrowed */
Table *table_free(Table *t);
static inline void table_freep(Table **t)
{
        *t = table_free(*t);
}
#define _cleanup_table_ _cleanup_(table_freep)

/* Adds the next cell; NULL and "" are shown as "-". table_take() frees the text. */
void table_add(Table *t, const char *cell, Tone tone);
void table_take(Table *t, char *cell, Tone tone);

/* The number of complete rows. */
unsigned table_rows(const Table *t);

/* Prints all rows. `legend`: print the titles of the columns, too. */
void table_print(const Table *t, unsigned indent, bool legend);
