/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The answer of ListTypes: tables of offers, GPUs and types, and the texts that they share. */

#include <systemd/sd-bus.h>

#include "cli/host/host.h"

/* Reads the answer, and replaces the types of each GPU that the answer lists. A GPU that is not in *h yet is
 * added with only its path, name and staleness. Returns 0 or a negative errno. */
int type_table_read(Host *h, sd_bus_message *m);

TypeInfo *gpu_type(const GpuInfo *g, unsigned i);
