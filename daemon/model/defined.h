/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Changes definitions in the store, announces the changes and logs them. No other code changes the store. Main
 * thread only. `requester`: the user that asks for the change; UID_INVALID: vgpud itself. */

#include "base/error.h"
#include "daemon/forward.h"
#include "daemon/store/definitions.h"
#include "daemon/store/record.h"

/* Check that the host and the owner may have `count` more definitions. Error: QUOTA. */
int defined_check_quota(Model *m, uid_t owner, uint32_t count, VgpudError *reterr);

/* Add a definition, or replace the definition of the same UUID. A definition that loses its autostart while its
 * instance does not run is not wanted any more (want.h). Errors: as definitions_put(). */
int defined_put(Model *m, const Definition *definition, uid_t requester, VgpudError *reterr);
/* Add new definitions (Definition), all or none. */
int defined_put_many(Model *m, const GPtrArray *definitions, uid_t requester, VgpudError *reterr);
/* Remove a definition and its want; the pointer becomes invalid. An instance that runs goes on. Errors: as
 * definitions_remove(). */
int defined_remove(Model *m, const Definition *definition, uid_t requester, VgpudError *reterr);

/* Log that an instance of vgpud disappeared although vgpud did not remove it. An instance with a definition may
 * come back. For any other instance, the line has type, name and owner, which are stored nowhere else. */
void defined_log_lost(Model *m, const Record *record, const char *cause);

/* Forget the record of an instance that is gone or another program's. If the create that defined the instance
 * was not completed (Record.kept), remove the definition, too. A wanted definition may start after that. */
void defined_forget_record(Model *m, const char *uuid);
