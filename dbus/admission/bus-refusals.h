/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The log of refusals: calls that are refused because of who calls (NOT_AUTHORIZED) or because the caller has
 * used up its share (TOO_MANY_CALLS, TOO_MANY_JOBS, QUOTA). The error of an incorrect call is no refusal.
 *
 * A user gets a few lines per period. Further refusals are counted, and one line tells their number at the end
 * of the period. The number of users in one period is limited as well; users beyond this limit share one entry
 * with callers whose uid is not known. So a flood adds BUS_REFUSALS_LINES_MAX + 1 lines per user and period,
 * for BUS_REFUSALS_USERS_MAX + 1 users at most. */

#include <stdbool.h>
#include <sys/types.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "base/error.h"
#include "base/macros.h"
#include "dbus/admission/bus-callers.h"

typedef struct BusRefusals BusRefusals;

#define BUS_REFUSALS_LINES_MAX  5U
#define BUS_REFUSALS_USERS_MAX  32U
#define BUS_REFUSALS_PERIOD_SEC 60U

BusRefusals *bus_refusals_new(sd_event *event, uint64_t period_usec);
/* Logs the counts of the last period. */
BusRefusals *bus_refusals_free(BusRefusals *r);

typedef struct BusRefusal {
        bool has_uid;
        uid_t uid;          /* if has_uid */
        const char *sender; /* unique name of the caller; NULL: none */
        const char *action; /* the polkit action, "org.vgpud1.create", or the method */
        const char *const
                        *details; /* key, value, …, NULL: the details for polkit; NULL: the log names `path` */
        const char *path;         /* of the D-Bus object */
} BusRefusal;

/* Log the error if it is a refusal. */
void bus_refusals_log(BusRefusals *r, const BusRefusal *refusal, const VgpudError *e);

/* Log the error of a call if it is a refusal. If `action` and `details` are NULL, the log names the method and
 * the object path of the call. */
void bus_refusals_log_call(BusRefusals *r, const BusCallers *callers, sd_bus_message *call, const char *action,
                           const char *const *details, const VgpudError *e);
