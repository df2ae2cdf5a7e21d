/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Asking the daemon for definitions, and for missing instances and settings. Functions that return int return
 * 0, or the exit status after printing an error. */

#include "cli/client/lookup.h"

/* Replaces the definitions of the host. `gpu`: the name of a GPU; NULL: all definitions. LOOKUP_NAMES reads
 * UUID, name and state; LOOKUP_TABLE and LOOKUP_ALL read all columns except the attributes. */
int lookup_definitions(Client *c, Host *h, const char *gpu, LookupDetail detail);

/* Reads one definition with all members. *ret is NULL if there is no definition of this UUID. */
int lookup_definition_if_present(Client *c, Host *h, const char *uuid, DefinitionInfo **ret);

/* The readiness of the host, and the missing things in the words of ListMissing. All members are owned. */
typedef struct ReadinessInfo {
        char *readiness; /* NULL: cannot be read; an older daemon has none */
        char **missing;  /* NULL: none, or cannot be read */
        uint32_t count;  /* number of all missing things; `missing` may lack some */
} ReadinessInfo;

void readiness_info_done(ReadinessInfo *info);
#define _cleanup_readiness_info_ _cleanup_(readiness_info_done)

/* Fills an empty *info with at most `limit` missing things. Prints no error. */
void lookup_readiness(Client *c, uint32_t limit, ReadinessInfo *info);

/* Prints a warning with some of the missing things, unless the host is ready. */
void lookup_warn_missing(Client *c);
/* Writes the keys readiness and missing. */
void lookup_json_missing(Client *c, Json *j);
