/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Starts a definition: an ordinary create (daemon/requests/create.h) with the UUID, name, attributes and owner
 * of the definition. request_create() refuses this create with EXISTS if the instance exists or is being
 * created, also if another program has created a device with the UUID. */

#include "daemon/forward.h"
#include "daemon/requests/create.h"
#include "daemon/store/definitions.h"

/* Fill in the request that starts the definition, with texts borrowed from the definition. The caller sets
 * `requester` and, for the second dispatch of a call, `chosen`. *hints must live as long as the request. */
void start_prepare(const Definition *definition, PlaceHints *hints, CreateRequest *ret);

/* Check, before polkit is asked, that the definition waits for its start. Error: INVALID. */
int start_check_cancel(Model *m, const Definition *definition, VgpudError *reterr);
/* End the want of a definition that waits, and log it. */
void start_cancel(Model *m, const Definition *definition, uid_t requester);
