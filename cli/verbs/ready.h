/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* wait --ready: waits for all that should run on the host, or for definitions. */

#include "cli/arguments.h"

int ready_run(const Arguments *a);
