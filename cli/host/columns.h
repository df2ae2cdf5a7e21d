/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Tables of the List methods: an a{sv} with one array per column. */

#include <systemd/sd-bus.h>

#include "cli/host/fields.h"

/* Reads the a{sv} into `rows`, which is empty; row_new() makes a row. A column is the key of a field, with the
 * signature of an array of the field. Other keys and values of another type are skipped. -EBADMSG: columns of
 * unequal length. */
int columns_read(sd_bus_message *m, const FieldTable *t, GPtrArray *rows, void *(*row_new)(void));

/* An empty array of VfInfo, and a row of it. */
GPtrArray *vfs_new(void);
void *vf_new(void);

/* A row of a change: a text is NULL until its column is read. vfs_apply() sets the texts that are there. */
void *vf_change_new(void);
void vfs_apply(GPtrArray *vfs, const GPtrArray *changes);
