/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* wait --ready: waits until the host is ready, or until definitions are active. */

#include "cli/arguments.h"

int ready_run(const Arguments *a);
