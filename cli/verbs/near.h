/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The device of --near: a GPU named by a word, or another device for the daemon to find. */

#include "cli/client/client.h"
#include "cli/host/host.h"

/* Returns 0 and sets *ret to new text, NULL without --near; or returns the exit status after printing an error.
 */
int near_resolve(Client *c, Host *h, char **ret);
