/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The tables of types: offers, GPUs, types and texts, and the difference of two snapshots for TypesChanged.
 * Also the property Modes, because the types of a GPU depend on its modes. */

#include <stdbool.h>
#include <systemd/sd-bus.h>

#include "base/macros.h"
#include "daemon/forward.h"
#include "drivers-glue/snapshot.h"

/* Append a{sv}: the tables of these GPUs (Gpu). */
int bus_types_append(sd_bus_message *m, const GPtrArray *gpus);

typedef enum BusTypesDifference {
        BUS_TYPES_SAME,
        BUS_TYPES_ROWS, /* some types differ in available, why_not or hint */
        BUS_TYPES_LIST, /* the lists of types differ, or the constant data of a type */
} BusTypesDifference;

/* Largest number of rows in a signal; clients ask for the list if more rows changed. */
#define BUS_CHANGED_ROWS_MAX 128U

/* Compare two snapshots of a GPU. NULL: the GPU has not been scanned. */
BusTypesDifference bus_types_compare(const GpuSnapshot *before, const GpuSnapshot *after);

/* Append the table of TypesChanged, for the rows that differ between two snapshots with the same list. */
int bus_types_append_changes(sd_bus_message *m, const GpuSnapshot *before, const GpuSnapshot *after);

/* Append the value of the property Modes. */
int bus_types_append_modes(sd_bus_message *reply, const Gpu *gpu);
