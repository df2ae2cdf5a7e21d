/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Applies the kept settings of a GPU (store/settings.h): modes and the number of VFs that enable-vfs --keep and
 * configure --keep have stored. They are applied once for each time that the GPU gets a driver, not again when
 * a user changes them. */

#include <stdbool.h>

#include "base/error.h"
#include "daemon/forward.h"

/* Take the next step if one is due: queue one job, or none. True: all is applied, so that instances may be
 * created on the GPU. False: a job runs, or the settings wait; kept_get_waiting() says for what. */
bool kept_step(Gpu *gpu);

/* Why the settings are not applied; NULL: they are, or there are none. */
const VgpudError *kept_get_waiting(const Gpu *gpu);
