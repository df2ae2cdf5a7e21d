/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Asking the daemon for definitions. Functions that return int return 0, or the exit status after printing an
 * error. */

#include "cli/client/lookup.h"

/* Replaces the definitions of the host. `gpu`: the name of a GPU; NULL: all definitions. LOOKUP_NAMES reads
 * UUID, name and state; LOOKUP_TABLE and LOOKUP_ALL read all columns except the attributes. */
int lookup_definitions(Client *c, Host *h, const char *gpu, LookupDetail detail);

/* Reads one definition with all members. *ret is NULL if there is no definition of this UUID. */
int lookup_definition_if_present(Client *c, Host *h, const char *uuid, DefinitionInfo **ret);
