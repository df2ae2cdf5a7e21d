/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Tables of the List methods: an a{sv} with one array per column. */

#include <systemd/sd-bus.h>

#include "cli/host/fields.h"

/* Reads the a{sv} into `rows`, which is empty; row_new() makes a row. A column has the key of a field in the
 * table, and its value is an array of this field's type. Other keys and values of another type are skipped.
 * -EBADMSG: columns of unequal length. */
int columns_read(sd_bus_message *m, const FieldTable *t, GPtrArray *rows, void *(*row_new)(void));

/* An empty array of VfInfo, and a row of it. */
GPtrArray *vfs_new(void);
void *vf_new(void);

/* A row of VfsChanged: a text is NULL unless its column is in the signal. vfs_apply() keeps the old text of a
 * VF where the new text is NULL. */
void *vf_change_new(void);
void vfs_apply(GPtrArray *vfs, const GPtrArray *changes);
