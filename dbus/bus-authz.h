/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The gate: may the caller of a method do this? polkit is asked, asynchronously.
 *
 * A handler calls bus_authz_check() before it changes anything. The first time that starts a question and the
 * handler returns 1 without having answered. When polkit has decided, the call itself is put back into the
 * queue of the connection and dispatched once more from the start: the object is looked up again, the arguments
 * are read again, and the second bus_authz_check() finds the decision. Nothing found before the question is
 * used after it, so an object that went away meanwhile needs no care. (A daemon that kept its userdata over the
 * question let local users become root: CVE-2020-1712.)
 *
 * uid 0 is not asked about: polkit grants root everything itself, so nothing is lost, and a host without polkit
 * can be managed. Everybody else is refused when polkit cannot be asked. */

#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "base/error.h"

typedef struct BusAuthz BusAuthz;

typedef enum PolkitAction {
#define VGPUD_ACTION(id, name, any, inactive, active, description, message) POLKIT_##id,
#include "policy/actions.def"
#undef VGPUD_ACTION
        _POLKIT_ACTION_MAX,
} PolkitAction;

/* Questions that one user may have open. */
#define BUS_AUTHZ_QUERIES_PER_UID_MAX 64U

/* The connection must be attached to an event loop. */
BusAuthz *bus_authz_new(sd_bus *bus);
/* Drops open questions; their callers get no answer from here. A question and the connection hold each other,
 * so this must come before the last reference to the connection is dropped. */
BusAuthz *bus_authz_free(BusAuthz *a);

/* Effective uid of the caller. On a connection without a bus daemon the peer is the caller. */
int bus_authz_caller(sd_bus_message *call, uid_t *ret, VgpudError *reterr);

/* uid: what bus_authz_caller() says. details: key, value, key, value, …, NULL: what rules and the text of the
 * dialogue may use. 1: go on. 0: polkit is being asked; the handler must return 1 and will be called again.
 * Errors: NOT_AUTHORIZED; TOO_MANY_JOBS (too many open questions); FAILED (what the call means has changed
 * since polkit was asked). */
int bus_authz_check(BusAuthz *a, sd_bus_message *call, uid_t uid, PolkitAction action,
                    const char *const *details, VgpudError *reterr);

/* What polkit was told about this call when it was asked; NULL when it has not been asked. With it a handler
 * that has a choice makes the same choice the second time, where that is still one. */
const char *bus_authz_detail(BusAuthz *a, sd_bus_message *call, const char *key);

/* The handler has chosen something else the second time: what polkit allowed is not what would be done now.
 * bus_authz_check() asks once more, about that; a refusal stands. What bus_authz_detail() returned is gone. */
void bus_authz_ask_anew(BusAuthz *a, sd_bus_message *call);

/* How many questions are kept. */
unsigned bus_authz_queries(const BusAuthz *a);
