/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What create and place have in common: the wishes about the GPU that is chosen. */

#include <systemd/sd-bus.h>

#include "cli/arguments.h"

#define PLACE_OPTIONS (OPTION_STRATEGY | OPTION_NUMA_NODE | OPTION_PREFER_NUMA_NODE | OPTION_NEAR | OPTION_POOL)

/* To an open a{sv}; only what was given. */
int append_place_options(sd_bus_message *m, const Arguments *a);
