/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "dbus/admission/bus-refusals.h"

#include <inttypes.h>
#include <string.h>

#include "base/log-ids.h"
#include "base/log.h"
#include "base/text.h"
#include "base/uuid.h"

/* No user has this uid. */
#define UID_OTHERS ((uid_t)-1)

/* The refusals of a user in the current period. */
typedef struct RefusedUser {
        uid_t uid; /* UID_OTHERS: users beyond the limit, and callers without a uid */
        unsigned n_logged;
        uint64_t n_more;   /* refusals that were not logged one by one */
        uint64_t end_usec; /* of the period; CLOCK_MONOTONIC */
} RefusedUser;

struct BusRefusals {
        uint64_t period_usec;
        GHashTable *users;      /* uid -> RefusedUser, owned */
        sd_event_source *timer; /* owned; NULL: no timer, so a period ends with the user's next refusal */
};

static uint64_t refusals_now(void)
{
        return (uint64_t)g_get_monotonic_time();
}

/* ---- the end of a period ---- */

static void refusals_summarize(const BusRefusals *r, const RefusedUser *u)
{
        g_autofree char *who = u->uid == UID_OTHERS ? g_strdup("other users")
                                                    : g_strdup_printf("user %" PRIu32, (uint32_t)u->uid);

        if (u->n_more == 0)
                return;

        LOG_FIELDS(LOG_NOTICE,
                   (.requester = u->uid == UID_OTHERS ? 0 : (int64_t)u->uid + 1, .suppressed = u->n_more,
                    .message_id = VGPUD_MESSAGE_REFUSED),
                   "refused %" PRIu64 " more calls of %s within %" PRIu64 " s", u->n_more, who,
                   r->period_usec / USEC_PER_SEC);
}

static void refusals_arm(BusRefusals *r, uint64_t usec)
{
        if (!r->timer || sd_event_source_set_time(r->timer, usec) < 0)
                return;

        (void)sd_event_source_set_enabled(r->timer, SD_EVENT_ONESHOT);
}

static int refusals_on_timer(sd_event_source *s, uint64_t usec, void *userdata)
{
        BusRefusals *r = userdata;
        uint64_t now = refusals_now(), next = UINT64_MAX;
        GHashTableIter i;
        void *value;

        g_hash_table_iter_init(&i, r->users);

        while (g_hash_table_iter_next(&i, NULL, &value)) {
                const RefusedUser *u = value;

                if (u->end_usec > now) {
                        next = MIN(next, u->end_usec);
                        continue;
                }

                refusals_summarize(r, u);
                g_hash_table_iter_remove(&i);
        }

        if (next != UINT64_MAX)
                refusals_arm(r, next);

        return 0;
}

/* ---- the lines ---- */

/* The entry of a user, with a period that has not ended. */
static RefusedUser *refusals_get_user(BusRefusals *r, uid_t uid)
{
        uint64_t now = refusals_now();
        RefusedUser *u = g_hash_table_lookup(r->users, GUINT_TO_POINTER(uid));

        if (u && u->end_usec > now)
                return u;

        if (u)
                refusals_summarize(r, u);
        else if (uid != UID_OTHERS && g_hash_table_size(r->users) >= BUS_REFUSALS_USERS_MAX)
                return refusals_get_user(r, UID_OTHERS);

        u = g_new(RefusedUser, 1);
        *u = (RefusedUser){ .uid = uid, .end_usec = now + r->period_usec };
        (void)g_hash_table_replace(r->users, GUINT_TO_POINTER(uid), u);
        if (g_hash_table_size(r->users) == 1)
                refusals_arm(r, u->end_usec);

        return u;
}

static const char *refusal_find_detail(const BusRefusal *refusal, const char *key)
{
        for (const char *const *d = refusal->details; d && d[0]; d += 2)
                if (strcmp(d[0], key) == 0)
                        return d[1][0] ? d[1] : NULL;

        return NULL;
}

/* "gpu=0000:08:00.0 type=nvidia-746 count=1", or the path. */
static char *refusal_describe_object(const BusRefusal *refusal)
{
        GString *s = g_string_new(NULL);

        for (const char *const *d = refusal->details; d && d[0]; d += 2)
                if (d[1][0])
                        g_string_append_printf(s, "%s%s=%s", s->len > 0 ? " " : "", d[0], TEXT_QUOTE(d[1]));
        if (s->len == 0)
                g_string_append(s, TEXT_QUOTE(refusal->path));

        return g_string_free(s, false);
}

static void refusal_write(const BusRefusal *refusal, const VgpudError *e)
{
        g_autofree char *object = refusal_describe_object(refusal);
        g_autofree char *who = refusal->has_uid ? g_strdup_printf("user %" PRIu32, (uint32_t)refusal->uid)
                                                : g_strdup(TEXT_QUOTE(refusal->sender));
        const char *instance = refusal_find_detail(refusal, "instance");

        LOG_FIELDS(LOG_NOTICE,
                   (.requester = refusal->has_uid ? (int64_t)refusal->uid + 1 : 0, .action = refusal->action,
                    .object = object, .gpu = refusal_find_detail(refusal, "gpu"),
                    .instance = instance && uuid_is_valid(instance) ? instance : NULL,
                    .message_id = VGPUD_MESSAGE_REFUSED),
                   "refused %s to %s (%s): %s", TEXT_QUOTE(refusal->action), who, object,
                   TEXT_QUOTE(e->message));
}

void bus_refusals_log(BusRefusals *r, const BusRefusal *refusal, const VgpudError *e)
{
        RefusedUser *u;

        g_assert(refusal->action);

        if (e->code != VGPUD_ERROR_NOT_AUTHORIZED && e->code != VGPUD_ERROR_TOO_MANY_CALLS &&
            e->code != VGPUD_ERROR_TOO_MANY_JOBS && e->code != VGPUD_ERROR_QUOTA)
                return;

        u = refusals_get_user(r, refusal->has_uid ? refusal->uid : UID_OTHERS);
        if (u->n_logged == BUS_REFUSALS_LINES_MAX) {
                u->n_more++;
                return;
        }

        u->n_logged++;
        refusal_write(refusal, e);
}

void bus_refusals_log_call(BusRefusals *r, const BusCallers *callers, sd_bus_message *call, const char *action,
                           const char *const *details, const VgpudError *e)
{
        const char *interface = sd_bus_message_get_interface(call);
        BusRefusal refusal = {
                .sender = sd_bus_message_get_sender(call),
                .details = details,
                .path = sd_bus_message_get_path(call),
        };
        g_autofree char *method = g_strconcat(interface ? interface : "", interface ? "." : "",
                                              sd_bus_message_get_member(call), NULL);

        refusal.has_uid = bus_callers_get(callers, call, &refusal.uid) > 0;
        refusal.action = action ? action : method;
        bus_refusals_log(r, &refusal, e);
}

/* ---- begin and end ---- */

BusRefusals *bus_refusals_new(sd_event *event, uint64_t period_usec)
{
        BusRefusals *r = g_new0(BusRefusals, 1);

        g_assert(period_usec > 0);

        r->period_usec = period_usec;
        r->users = g_hash_table_new_full(NULL, NULL, NULL, g_free);
        if (sd_event_add_time(event, &r->timer, CLOCK_MONOTONIC, 0, 0, refusals_on_timer, r) >= 0)
                (void)sd_event_source_set_enabled(r->timer, SD_EVENT_OFF);

        return r;
}

BusRefusals *bus_refusals_free(BusRefusals *r)
{
        GHashTableIter i;
        void *u;

        if (!r)
                return NULL;

        g_hash_table_iter_init(&i, r->users);
        while (g_hash_table_iter_next(&i, NULL, &u))
                refusals_summarize(r, u);

        g_hash_table_unref(r->users);
        sd_event_source_disable_unref(r->timer);
        g_free(r);

        return NULL;
}
