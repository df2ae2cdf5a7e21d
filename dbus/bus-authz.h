/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The polkit check: asks polkit, asynchronously, whether the caller may do what a method does.
 *
 * A handler calls bus_authz_check() before any change. The first call starts a question, and the handler
 * returns 1 without an answer. When polkit has decided, the same message is dispatched again from the start:
 * sd-bus looks the object up again, the handler reads the arguments again, and the second bus_authz_check()
 * finds the decision. No pointer survives the question, so an object may go away meanwhile. (Another daemon
 * kept its userdata over the question and let local users become root: CVE-2020-1712.)
 *
 * uid 0 needs no question: polkit grants root all actions, and a host without polkit stays manageable. All
 * other callers are refused if polkit cannot be asked. */

#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "base/error.h"
#include "dbus/admission/bus-admission.h"

typedef struct BusAuthz BusAuthz;

typedef enum PolkitAction {
#define VGPUD_ACTION(id, name, any, inactive, active, description, message) POLKIT_##id,
#include "policy/actions.def"
#undef VGPUD_ACTION
        _POLKIT_ACTION_MAX,
} PolkitAction;

/* Limits of open questions: of all users and of one user. dbus-daemon lets a connection wait for 128 replies
 * (max_replies_per_connection); a question that was canceled counts until polkit has answered. Further
 * questions wait, and one of each user is asked in turn. */
#define BUS_AUTHZ_QUESTIONS_MAX         96U
#define BUS_AUTHZ_QUESTIONS_PER_UID_MAX 16U

/* The longest time for an answer of polkit if no password dialogue is possible. */
#define BUS_AUTHZ_ANSWER_SEC 25U

/* The connection must be attached to an event loop. */
BusAuthz *bus_authz_new(sd_bus *bus, BusAdmission *admission);
/* Drops open questions; their callers get no answer. A question and the connection have references to each
 * other, so free the BusAuthz before the last reference to the connection. */
BusAuthz *bus_authz_free(BusAuthz *a);

/* One question. details: key, value, …, NULL, for rules and the text of the dialogue. */
typedef struct BusAuthzQuestion {
        PolkitAction action;
        const char *const *details;
} BusAuthzQuestion;

/* Ask all questions, one after the other. uid: the result of bus_admission_identify(). Returns 1 if polkit
 * permits all of them, and 0 while polkit is being asked: then the handler must return 1 and will be called
 * again. Errors: NOT_AUTHORIZED; TOO_MANY_CALLS (too many calls of the user wait); FAILED (a question differs
 * from the question that polkit was asked). */
int bus_authz_check(BusAuthz *a, sd_bus_message *call, uid_t uid, const BusAuthzQuestion *questions, size_t n,
                    VgpudError *reterr);

/* Log that the call is refused although polkit permits the action, if the error is a refusal
 * (admission/bus-refusals.h). bus_authz_check() logs its own refusals. */
void bus_authz_log_refusal(BusAuthz *a, sd_bus_message *call, const BusAuthzQuestion *question,
                           const VgpudError *e);

/* "org.vgpud1.create" */
const char *polkit_action_to_string(PolkitAction action);

/* The detail `key` of the newest question about the call that has this detail with a text. NULL: no question
 * has it. In a later dispatch, a handler that chooses an object uses the detail to make the same choice again.
 */
const char *bus_authz_detail(BusAuthz *a, sd_bus_message *call, const char *key);

/* Forget that polkit has permitted the call, because the second dispatch has chosen another object than the
 * first: then bus_authz_check() asks about the new object. Does not forget a refusal. Results of
 * bus_authz_detail() become invalid. */
void bus_authz_ask_anew(BusAuthz *a, sd_bus_message *call);
