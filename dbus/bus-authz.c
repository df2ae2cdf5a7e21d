/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "dbus/bus-authz.h"

#include <string.h>

#include "base/log.h"
#include "dbus/bus-util.h"

#define POLKIT_NAME      "org.freedesktop.PolicyKit1"
#define POLKIT_PATH      "/org/freedesktop/PolicyKit1/Authority"
#define POLKIT_INTERFACE "org.freedesktop.PolicyKit1.Authority"

#define POLKIT_ALLOW_USER_INTERACTION 1U

static const char *const polkit_action_table[_POLKIT_ACTION_MAX] = {
#define VGPUD_ACTION(id, name, any, inactive, active, description, message) [POLKIT_##id] = name,
#include "policy/actions.def"
#undef VGPUD_ACTION
};

DEFINE_STRING_TABLE_TO_STRING(polkit_action, PolkitAction)

/* A question that polkit was asked. */
typedef struct Asked {
        PolkitAction action;
        char **details; /* owned */
} Asked;

/* The questions about one call. Lives until bus_authz_check() has taken the last verdict, or a repeated
 * dispatch has ended without bus_authz_check() because the object is gone, or the caller has left. */
typedef struct Query {
        BusAuthz *authz;      /* borrowed */
        sd_bus_message *call; /* ref; the key in authz->queries */
        uid_t uid;
        GPtrArray *asked;   /* Asked, in order; polkit has permitted all but the last */
        char *cancellation; /* owned; identifies the last question for polkit */
        bool interactive;
        sd_bus_slot *pending;    /* owned; the call to polkit, NULL once it has answered */
        sd_bus_slot *left;       /* owned; watches the caller; NULL on a connection without a bus daemon */
        sd_event_source *expiry; /* owned; ends the query after the second dispatch */
        bool allowed;            /* polkit has permitted the last question */
        VgpudError error;        /* set unless allowed */
} Query;

struct BusAuthz {
        sd_bus *bus;         /* borrowed */
        GHashTable *queries; /* sd_bus_message -> Query, owned */
        uint64_t last_number;
};

static void asked_free(gpointer p)
{
        Asked *asked = p;

        g_strfreev(asked->details);
        g_free(asked);
}

static bool asked_equals(const Asked *asked, const BusAuthzQuestion *question)
{
        return asked->action == question->action &&
               g_strv_equal((const char *const *)asked->details, question->details);
}

static const Asked *query_last(const Query *q)
{
        g_assert(q->asked->len > 0);

        return q->asked->pdata[q->asked->len - 1];
}

static void query_free(Query *q)
{
        sd_bus_slot_unref(q->pending);
        sd_bus_slot_unref(q->left);
        sd_event_source_disable_unref(q->expiry);
        g_ptr_array_unref(q->asked);
        g_free(q->cancellation);
        vgpud_error_done(&q->error);
        sd_bus_message_unref(q->call);
        g_free(q);
}

static void query_drop(Query *q)
{
        g_assert(g_hash_table_lookup(q->authz->queries, q->call) == q);
        g_hash_table_remove(q->authz->queries, q->call);
}

BusAuthz *bus_authz_new(sd_bus *bus)
{
        BusAuthz *a = g_new0(BusAuthz, 1);

        a->bus = bus;
        a->queries = g_hash_table_new_full(NULL, NULL, NULL, (GDestroyNotify)query_free);

        return a;
}

BusAuthz *bus_authz_free(BusAuthz *a)
{
        if (!a)
                return NULL;

        g_hash_table_unref(a->queries);
        g_free(a);

        return NULL;
}

unsigned bus_authz_queries(const BusAuthz *a)
{
        return g_hash_table_size(a->queries);
}

int bus_authz_caller(sd_bus_message *call, uid_t *ret, VgpudError *reterr)
{
        _cleanup_(sd_bus_creds_unrefp) sd_bus_creds *creds = NULL;
        sd_bus *bus = sd_bus_message_get_bus(call);
        int r;

        /* A synchronous call, but only to the bus daemon, which answers at once. */
        if (sd_bus_is_bus_client(bus) > 0)
                r = sd_bus_query_sender_creds(call, SD_BUS_CREDS_EUID, &creds);
        else
                r = sd_bus_get_owner_creds(bus, SD_BUS_CREDS_EUID, &creds);

        if (r >= 0)
                r = sd_bus_creds_get_euid(creds, ret);
        if (r < 0)
                return vgpud_error_set_errnof(reterr, VGPUD_ERROR_NOT_AUTHORIZED, r,
                                              "failed to identify the caller: %s", g_strerror(-r));

        return 0;
}

static unsigned authz_count_open(BusAuthz *a, uid_t uid)
{
        GHashTableIter i;
        void *value;
        unsigned n = 0;

        g_hash_table_iter_init(&i, a->queries);

        while (g_hash_table_iter_next(&i, NULL, &value)) {
                const Query *q = value;

                n += q->uid == uid;
        }

        return n;
}

/* Turn polkit's reply into the verdict. */
static void query_decide(Query *q, sd_bus_message *reply)
{
        const sd_bus_error *e = sd_bus_message_get_error(reply);
        int authorized = false, challenge = false, dismissed = false, r;
        const char *key, *value;

        if (e) {
                vgpud_error_setf(&q->error, VGPUD_ERROR_NOT_AUTHORIZED, "polkit could not be asked for %s: %s",
                                 polkit_action_table[query_last(q)->action], e->message ? e->message : e->name);
                return;
        }

        r = sd_bus_message_enter_container(reply, 'r', "bba{ss}");
        if (r >= 0)
                r = sd_bus_message_read(reply, "bb", &authorized, &challenge);
        if (r >= 0)
                r = sd_bus_message_enter_container(reply, 'a', "{ss}");
        while (r >= 0 && (r = sd_bus_message_read(reply, "{ss}", &key, &value)) > 0)
                dismissed = dismissed || strcmp(key, "polkit.dismissed") == 0;
        if (r < 0) {
                vgpud_error_set_errnof(&q->error, VGPUD_ERROR_NOT_AUTHORIZED, r,
                                       "polkit could not be asked for %s: its answer cannot be read",
                                       polkit_action_table[query_last(q)->action]);
                return;
        }

        q->allowed = authorized;
        if (authorized)
                return;

        if (dismissed)
                vgpud_error_setf(&q->error, VGPUD_ERROR_NOT_AUTHORIZED,
                                 "%s needs authentication, and the user dismissed the dialogue",
                                 polkit_action_table[query_last(q)->action]);
        else if (challenge && !q->interactive)
                vgpud_error_setf(&q->error, VGPUD_ERROR_NOT_AUTHORIZED,
                                 "%s needs authentication, and the call does not allow a password dialogue",
                                 polkit_action_table[query_last(q)->action]);
        else if (challenge)
                vgpud_error_setf(&q->error, VGPUD_ERROR_NOT_AUTHORIZED,
                                 "%s needs authentication, and no authentication agent is running",
                                 polkit_action_table[query_last(q)->action]);
        else
                vgpud_error_setf(&q->error, VGPUD_ERROR_NOT_AUTHORIZED, "polkit does not allow %s",
                                 polkit_action_table[query_last(q)->action]);
}

static int on_expiry(sd_event_source *s, void *userdata)
{
        query_drop(userdata);
        return 0;
}

/* Dispatch the call once more, and drop the query afterwards unless the handler takes the verdict: the event
 * source has the lowest priority, so sd-bus serves its queue first. */
static int query_dispatch_again(Query *q)
{
        int r;

        g_assert(!q->pending);

        r = sd_event_add_defer(sd_bus_get_event(q->authz->bus), &q->expiry, on_expiry, q);
        if (r < 0)
                return r;

        r = sd_event_source_set_priority(q->expiry, SD_EVENT_PRIORITY_IDLE);
        if (r < 0)
                return r;

        r = sd_bus_message_rewind(q->call, true);
        if (r < 0)
                return r;

        return sd_bus_enqueue_for_read(q->authz->bus, q->call);
}

static int on_polkit(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error)
{
        Query *q = userdata;
        int r;

        g_assert(q->pending && !q->expiry);

        q->pending = sd_bus_slot_unref(q->pending);
        query_decide(q, reply);

        r = query_dispatch_again(q);
        if (r < 0) {
                /* The connection is closing and accepts no message; the caller waits no longer. */
                log_debug_errno(r, "Failed to dispatch a call again, dropping it: %m");
                query_drop(q);
        }

        return 1;
}

/* Close the dialogue: the caller is gone. */
static int on_caller_left(sd_bus_message *signal, void *userdata, sd_bus_error *ret_error)
{
        Query *q = userdata;

        if (q->pending)
                (void)sd_bus_call_method_async(q->authz->bus, NULL, POLKIT_NAME, POLKIT_PATH, POLKIT_INTERFACE,
                                               "CancelCheckAuthorization", NULL, NULL, "s", q->cancellation);

        query_drop(q);

        return 0;
}

static int query_send(Query *q)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *ask = NULL;
        int r;

        r = sd_bus_message_new_method_call(q->authz->bus, &ask, POLKIT_NAME, POLKIT_PATH, POLKIT_INTERFACE,
                                           "CheckAuthorization");
        if (r < 0)
                return r;

        r = sd_bus_message_append(ask, "(sa{sv})s", "system-bus-name", 1, "name", "s",
                                  sd_bus_message_get_sender(q->call),
                                  polkit_action_table[query_last(q)->action]);
        if (r < 0)
                return r;

        r = sd_bus_message_open_container(ask, 'a', "{ss}");
        if (r < 0)
                return r;

        for (char **d = query_last(q)->details; d[0]; d += 2) {
                r = sd_bus_message_append(ask, "{ss}", d[0], d[1]);
                if (r < 0)
                        return r;
        }

        r = sd_bus_message_close_container(ask);
        if (r < 0)
                return r;

        r = sd_bus_message_append(ask, "us", q->interactive ? POLKIT_ALLOW_USER_INTERACTION : 0U,
                                  q->cancellation);
        if (r < 0)
                return r;

        /* A person may take any time to type; rules decide within the usual timeout of a call. */
        return sd_bus_call_async(q->authz->bus, &q->pending, ask, on_polkit, q,
                                 q->interactive ? UINT64_MAX : 0);
}

/* The next question about the call. */
static int query_ask(Query *q, const BusAuthzQuestion *question, VgpudError *reterr)
{
        Asked *asked = g_new(Asked, 1);
        int r;

        g_assert(question->action < _POLKIT_ACTION_MAX);
        g_assert(g_strv_length((char **)question->details) % 2 == 0);
        g_assert(!q->pending);

        *asked = (Asked){ .action = question->action, .details = g_strdupv((char **)question->details) };
        g_ptr_array_add(q->asked, asked);
        g_free(q->cancellation);
        q->allowed = false;
        q->cancellation = g_strdup_printf("vgpud-%" PRIu64, ++q->authz->last_number);
        q->expiry = sd_event_source_disable_unref(q->expiry);

        r = query_send(q);
        if (r < 0) {
                query_drop(q);
                return vgpud_error_set_errnof(reterr, VGPUD_ERROR_NOT_AUTHORIZED, r,
                                              "polkit could not be asked for %s: %s",
                                              polkit_action_table[question->action], g_strerror(-r));
        }

        return 0;
}

static int query_start(BusAuthz *a, sd_bus_message *call, uid_t uid, const BusAuthzQuestion *question,
                       VgpudError *reterr)
{
        const char *name = polkit_action_table[question->action];
        Query *q;
        int r;

        if (!sd_bus_message_get_sender(call))
                return vgpud_error_setf(reterr, VGPUD_ERROR_NOT_AUTHORIZED,
                                        "polkit could not be asked for %s: the caller has no name on the bus",
                                        name);

        if (authz_count_open(a, uid) >= BUS_AUTHZ_QUERIES_PER_UID_MAX)
                return vgpud_error_setf(reterr, VGPUD_ERROR_TOO_MANY_JOBS,
                                        "polkit is being asked about %u calls of this user already",
                                        BUS_AUTHZ_QUERIES_PER_UID_MAX);

        q = g_new0(Query, 1);
        q->authz = a;
        q->call = sd_bus_message_ref(call);
        q->uid = uid;
        q->asked = g_ptr_array_new_with_free_func(asked_free);
        q->interactive = sd_bus_message_get_allow_interactive_authorization(call) > 0;
        g_hash_table_insert(a->queries, q->call, q);

        /* If the caller has left already, polkit finds no owner of the name and refuses. */
        r = bus_watch_caller(call, &q->left, on_caller_left, q);
        if (r < 0) {
                query_drop(q);
                return vgpud_error_set_errnof(reterr, VGPUD_ERROR_NOT_AUTHORIZED, r,
                                              "polkit could not be asked for %s: %s", name, g_strerror(-r));
        }

        return query_ask(q, question, reterr);
}

/* The questions asked so far are the first of `questions`. */
static bool query_matches(const Query *q, const BusAuthzQuestion *questions, size_t n)
{
        if (q->asked->len > n)
                return false;

        for (guint i = 0; i < q->asked->len; i++)
                if (!asked_equals(q->asked->pdata[i], &questions[i]))
                        return false;

        return true;
}

int bus_authz_check(BusAuthz *a, sd_bus_message *call, uid_t uid, const BusAuthzQuestion *questions, size_t n,
                    VgpudError *reterr)
{
        Query *q = g_hash_table_lookup(a->queries, call);
        int r;

        g_assert(n > 0);

        if (!q && uid == 0)
                return 1;
        if (!q)
                return query_start(a, call, uid, &questions[0], reterr);

        g_assert(!q->pending); /* only the answer of polkit dispatches the call again */

        if (!q->allowed)
                r = vgpud_error_move(reterr, &q->error);
        else if (!query_matches(q, questions, n))
                r = vgpud_error_setf(
                                reterr, VGPUD_ERROR_FAILED,
                                "the object of the call changed while polkit was asked, so the permission does not cover it");
        else if (q->asked->len < n)
                return query_ask(q, &questions[q->asked->len], reterr);
        else
                r = 1;

        query_drop(q);

        return r;
}

const char *bus_authz_detail(BusAuthz *a, sd_bus_message *call, const char *key)
{
        const Query *q = g_hash_table_lookup(a->queries, call);

        for (char **d = q ? query_last(q)->details : NULL; d && d[0]; d += 2)
                if (strcmp(d[0], key) == 0)
                        return d[1];

        return NULL;
}

void bus_authz_ask_anew(BusAuthz *a, sd_bus_message *call)
{
        Query *q = g_hash_table_lookup(a->queries, call);

        if (q && q->allowed)
                query_drop(q);
}
