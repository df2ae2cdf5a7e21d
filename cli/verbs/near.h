/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The device that --near names. vgpuctl replaces a word for a GPU by the GPU's name; the daemon finds any other
 * device. */

#include "cli/client/client.h"
#include "cli/host/host.h"

/* Returns 0 and sets *ret to new text, NULL without --near; or returns the exit status after printing an error.
 */
int near_resolve(Client *c, Host *h, char **ret);
