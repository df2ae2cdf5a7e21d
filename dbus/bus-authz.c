/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "dbus/bus-authz.h"

#include <string.h>

#include "base/log.h"
#include "dbus/admission/bus-line.h"

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

typedef struct Query Query;

/* A question without an answer. It lives until polkit has answered, even if the query is gone: until then, the
 * question counts among the replies for which the bus lets this connection wait. */
typedef struct Question {
        BusAuthz *authz; /* borrowed */
        Query *query;    /* borrowed; NULL: the answer does not matter any more */
        uid_t uid;
        char *cancellation;        /* owned; identifies the question for polkit */
        sd_bus_slot *slot;         /* owned; the call to polkit */
        sd_event_source *deadline; /* owned; NULL: a person may be typing a password */
} Question;

/* The questions about one call. A query lives until one of these events: bus_authz_check() takes the verdict; a
 * repeated dispatch ends without bus_authz_check(), because the object is gone; the caller leaves the bus. */
struct Query {
        BusAuthz *authz;      /* borrowed */
        sd_bus_message *call; /* held by the admission; the key in authz->queries */
        uid_t uid;
        GPtrArray *asked; /* Asked, in order; polkit has permitted all but the newest */
        bool interactive;
        bool in_line;            /* waits until the newest question may be asked */
        Question *question;      /* borrowed; NULL unless the newest question is open */
        sd_event_source *expiry; /* owned; ends the query after a repeated dispatch */
        bool allowed;            /* polkit has permitted the newest question */
        VgpudError error;        /* set unless allowed */
};

struct BusAuthz {
        sd_bus *bus;             /* borrowed */
        BusAdmission *admission; /* borrowed */
        GHashTable *queries;     /* sd_bus_message -> Query, owned */
        GHashTable *questions;   /* set of Question, owned */
        BusLine *line;           /* Query whose newest question waits */
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

static const Asked *query_newest(const Query *q)
{
        g_assert(q->asked->len > 0);

        return q->asked->pdata[q->asked->len - 1];
}

static const char *query_newest_action(const Query *q)
{
        return polkit_action_table[query_newest(q)->action];
}

static void question_free(gpointer p)
{
        Question *question = p;

        sd_bus_slot_unref(question->slot);
        sd_event_source_disable_unref(question->deadline);
        g_free(question->cancellation);
        g_free(question);
}

/* Tell polkit that its answer does not matter any more. polkit closes the dialogue, and still answers. */
static void question_cancel(Question *question)
{
        question->query->question = NULL;
        question->query = NULL;
        question->deadline = sd_event_source_disable_unref(question->deadline);
        (void)sd_bus_call_method_async(question->authz->bus, NULL, POLKIT_NAME, POLKIT_PATH, POLKIT_INTERFACE,
                                       "CancelCheckAuthorization", NULL, NULL, "s", question->cancellation);
}

static void query_free(Query *q)
{
        if (q->in_line)
                bus_line_remove(q->authz->line, q->uid, q);
        if (q->question)
                question_cancel(q->question);

        sd_event_source_disable_unref(q->expiry);
        g_ptr_array_unref(q->asked);
        vgpud_error_done(&q->error);

        if (q->call)
                bus_admission_release(q->authz->admission, q->call);
        g_free(q);
}

static void query_drop(Query *q)
{
        g_assert(g_hash_table_lookup(q->authz->queries, q->call) == q);
        g_hash_table_remove(q->authz->queries, q->call);
}

BusAuthz *bus_authz_new(sd_bus *bus, BusAdmission *admission)
{
        BusAuthz *a = g_new0(BusAuthz, 1);

        a->bus = bus;
        a->admission = admission;
        a->queries = g_hash_table_new_full(NULL, NULL, NULL, (GDestroyNotify)query_free);
        a->questions = g_hash_table_new_full(NULL, NULL, question_free, NULL);
        a->line = bus_line_new();

        return a;
}

BusAuthz *bus_authz_free(BusAuthz *a)
{
        if (!a)
                return NULL;

        g_hash_table_unref(a->queries);
        g_hash_table_unref(a->questions);
        bus_line_free(a->line);
        g_free(a);

        return NULL;
}

/* ---- the verdict ---- */

/* Turn polkit's reply into the verdict. */
static void query_decide(Query *q, sd_bus_message *reply)
{
        const sd_bus_error *e = sd_bus_message_get_error(reply);
        int authorized = false, challenge = false, dismissed = false, r;
        const char *key, *value;

        if (e) {
                vgpud_error_setf(&q->error, VGPUD_ERROR_NOT_AUTHORIZED, "polkit gave no decision about %s: %s",
                                 query_newest_action(q), e->message ? e->message : e->name);
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
                                       "polkit gave no decision about %s: its answer cannot be read",
                                       query_newest_action(q));
                return;
        }

        q->allowed = authorized;
        if (authorized)
                return;

        if (dismissed)
                vgpud_error_setf(&q->error, VGPUD_ERROR_NOT_AUTHORIZED,
                                 "%s needs authentication, and the user dismissed the dialogue",
                                 query_newest_action(q));
        else if (challenge && !q->interactive)
                vgpud_error_setf(&q->error, VGPUD_ERROR_NOT_AUTHORIZED,
                                 "%s needs authentication, and the call does not allow a password dialogue",
                                 query_newest_action(q));
        else if (challenge)
                vgpud_error_setf(&q->error, VGPUD_ERROR_NOT_AUTHORIZED,
                                 "%s needs authentication, and no authentication agent is running",
                                 query_newest_action(q));
        else
                vgpud_error_setf(&q->error, VGPUD_ERROR_NOT_AUTHORIZED, "polkit does not allow %s",
                                 query_newest_action(q));
}

static int on_expiry(sd_event_source *s, void *userdata)
{
        query_drop(userdata);
        return 0;
}

/* Dispatch the call once more, and drop the query afterwards unless the handler has taken the verdict. The
 * event source that drops the query has the lowest priority, so sd-bus dispatches the call first. */
static int query_start_dispatch(Query *q)
{
        int r;

        r = sd_event_add_defer(sd_bus_get_event(q->authz->bus), &q->expiry, on_expiry, q);
        if (r < 0)
                return r;

        r = sd_event_source_set_priority(q->expiry, SD_EVENT_PRIORITY_IDLE);
        if (r < 0)
                return r;

        return bus_admission_dispatch(q->authz->admission, q->call);
}

static void query_dispatch_again(Query *q)
{
        int r;

        g_assert(!q->question && !q->in_line && !q->expiry);

        r = query_start_dispatch(q);
        if (r < 0) {
                /* The connection is closing and accepts no message, so the caller cannot get an answer. */
                log_debug_errno(r, "Failed to dispatch a call again, dropping it: %m");
                query_drop(q);
        }
}

/* ---- questions ---- */

static unsigned authz_count_questions(const BusAuthz *a, uid_t uid)
{
        GHashTableIter i;
        void *key;
        unsigned n = 0;

        g_hash_table_iter_init(&i, a->questions);

        while (g_hash_table_iter_next(&i, &key, NULL))
                n += ((const Question *)key)->uid == uid;

        return n;
}

static bool authz_may_ask(uid_t uid, void *userdata)
{
        const BusAuthz *a = userdata;

        return bus_share_allows(authz_count_questions(a, uid), BUS_AUTHZ_QUESTIONS_PER_UID_MAX,
                                g_hash_table_size(a->questions), BUS_AUTHZ_QUESTIONS_MAX);
}

static void authz_ask_next(BusAuthz *a);

static int on_polkit(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error)
{
        Question *question = userdata;
        BusAuthz *a = question->authz;
        Query *q = question->query;

        assert_se(g_hash_table_remove(a->questions, question));

        if (q) {
                q->question = NULL;
                query_decide(q, reply);
                query_dispatch_again(q);
        }

        authz_ask_next(a);

        return 1;
}

static int on_deadline(sd_event_source *s, uint64_t usec, void *userdata)
{
        Question *question = userdata;
        Query *q = question->query;

        question_cancel(question);
        vgpud_error_setf(&q->error, VGPUD_ERROR_NOT_AUTHORIZED,
                         "polkit gave no decision about %s: no answer came within %u s", query_newest_action(q),
                         BUS_AUTHZ_ANSWER_SEC);
        query_dispatch_again(q);

        return 0;
}

static int question_append(const Question *question, sd_bus_message *ask)
{
        const Query *q = question->query;
        int r;

        r = sd_bus_message_append(ask, "(sa{sv})s", "system-bus-name", 1, "name", "s",
                                  sd_bus_message_get_sender(q->call), query_newest_action(q));
        if (r >= 0)
                r = sd_bus_message_open_container(ask, 'a', "{ss}");
        for (char **d = query_newest(q)->details; r >= 0 && d[0]; d += 2)
                r = sd_bus_message_append(ask, "{ss}", d[0], d[1]);
        if (r >= 0)
                r = sd_bus_message_close_container(ask);
        if (r >= 0)
                r = sd_bus_message_append(ask, "us", q->interactive ? POLKIT_ALLOW_USER_INTERACTION : 0U,
                                          question->cancellation);

        return r;
}

static int question_send(Question *question)
{
        sd_bus *bus = question->authz->bus;
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *ask = NULL;
        int r;

        r = sd_bus_message_new_method_call(bus, &ask, POLKIT_NAME, POLKIT_PATH, POLKIT_INTERFACE,
                                           "CheckAuthorization");
        if (r >= 0)
                r = question_append(question, ask);

        /* There is no deadline if a person may be typing a password. Rules alone decide within the usual
         * timeout of a call. The timer is our own: after a timeout of sd-bus, sd-bus would forget the question,
         * while the bus still expects a reply. */
        if (r >= 0 && !question->query->interactive)
                r = sd_event_add_time_relative(sd_bus_get_event(bus), &question->deadline, CLOCK_MONOTONIC,
                                               BUS_AUTHZ_ANSWER_SEC * USEC_PER_SEC, 0, on_deadline, question);
        if (r >= 0)
                r = sd_bus_call_async(bus, &question->slot, ask, on_polkit, question, UINT64_MAX);

        return r;
}

/* Ask the newest question of the query. */
static int query_send(Query *q)
{
        BusAuthz *a = q->authz;
        Question *question = g_new(Question, 1);
        int r;

        g_assert(!q->question);

        *question = (Question){
                .authz = a,
                .query = q,
                .uid = q->uid,
                .cancellation = g_strdup_printf("vgpud-%" PRIu64, ++a->last_number),
        };

        r = question_send(question);
        if (r < 0) {
                question_free(question);
                return r;
        }

        q->question = question;
        (void)g_hash_table_add(a->questions, question);

        return 0;
}

static int query_not_asked(const Query *q, int r, VgpudError *reterr)
{
        return vgpud_error_set_errnof(reterr, VGPUD_ERROR_NOT_AUTHORIZED, r,
                                      "polkit could not be asked about %s: %s", query_newest_action(q),
                                      g_strerror(-r));
}

/* Ask the questions that wait, one of each user in turn, while there are places. */
static void authz_ask_next(BusAuthz *a)
{
        Query *q;

        while ((q = bus_line_take(a->line, authz_may_ask, a))) {
                int r;

                q->in_line = false;

                r = query_send(q);
                if (r < 0) {
                        (void)query_not_asked(q, r, &q->error);
                        query_dispatch_again(q);
                }
        }
}

/* Ask the next question about the call. */
static int query_ask(Query *q, const BusAuthzQuestion *question, VgpudError *reterr)
{
        Asked *asked = g_new(Asked, 1);
        int r;

        g_assert(question->action < _POLKIT_ACTION_MAX);
        g_assert(g_strv_length((char **)question->details) % 2 == 0);
        g_assert(!q->question && !q->in_line);

        *asked = (Asked){ .action = question->action, .details = g_strdupv((char **)question->details) };
        g_ptr_array_add(q->asked, asked);
        q->allowed = false;
        q->expiry = sd_event_source_disable_unref(q->expiry);

        if (!authz_may_ask(q->uid, q->authz)) {
                q->in_line = true;
                bus_line_add(q->authz->line, q->uid, q);
                return 0;
        }

        r = query_send(q);
        if (r < 0) {
                r = query_not_asked(q, r, reterr);
                query_drop(q);
        }

        return r;
}

static void query_on_left(void *userdata)
{
        query_drop(userdata);
}

static int query_start(BusAuthz *a, sd_bus_message *call, uid_t uid, const BusAuthzQuestion *question,
                       VgpudError *reterr)
{
        Query *q;
        int r;

        if (!sd_bus_message_get_sender(call))
                return vgpud_error_setf(reterr, VGPUD_ERROR_NOT_AUTHORIZED,
                                        "polkit could not be asked about %s: the caller has no name on the bus",
                                        polkit_action_table[question->action]);

        q = g_new0(Query, 1);
        q->authz = a;
        q->uid = uid;
        q->asked = g_ptr_array_new_with_free_func(asked_free);
        q->interactive = sd_bus_message_get_allow_interactive_authorization(call) > 0;

        /* If the caller has left already, polkit finds no owner of the name and refuses. */
        r = bus_admission_hold(a->admission, call, uid, query_on_left, q, &q->call, reterr);
        if (r < 0) {
                query_free(q);
                return r;
        }

        g_hash_table_insert(a->queries, q->call, q);

        return query_ask(q, question, reterr);
}

/* ---- the check ---- */

/* True if `questions` begins with the questions that were asked so far. */
static bool query_matches(const Query *q, const BusAuthzQuestion *questions, size_t n)
{
        if (q->asked->len > n)
                return false;

        for (guint i = 0; i < q->asked->len; i++)
                if (!asked_equals(q->asked->pdata[i], &questions[i]))
                        return false;

        return true;
}

/* Do the work of bus_authz_check(), except for the log. *ret_at: index of the question that is asked or was
 * refused. */
static int authz_decide(BusAuthz *a, sd_bus_message *call, uid_t uid, const BusAuthzQuestion *questions,
                        size_t n, size_t *ret_at, VgpudError *reterr)
{
        Query *q = g_hash_table_lookup(a->queries, call);
        int r;

        g_assert(n > 0);

        *ret_at = 0;

        if (!q && uid == 0)
                return 1;
        if (!q)
                return query_start(a, call, uid, &questions[0], reterr);

        g_assert(!q->question && !q->in_line); /* only the answer of polkit dispatches the call again */

        *ret_at = q->asked->len - 1;

        if (!q->allowed)
                r = vgpud_error_move(reterr, &q->error);
        else if (!query_matches(q, questions, n))
                r = vgpud_error_setf(
                                reterr, VGPUD_ERROR_FAILED,
                                "the object of the call changed while polkit was asked, so the permission does not cover it");
        else if (q->asked->len < n) {
                *ret_at = q->asked->len;
                return query_ask(q, &questions[q->asked->len], reterr);
        } else
                r = 1;

        query_drop(q);

        return r;
}

void bus_authz_log_refusal(BusAuthz *a, sd_bus_message *call, const BusAuthzQuestion *question,
                           const VgpudError *e)
{
        bus_admission_log_refusal(a->admission, call, polkit_action_table[question->action], question->details,
                                  e);
}

int bus_authz_check(BusAuthz *a, sd_bus_message *call, uid_t uid, const BusAuthzQuestion *questions, size_t n,
                    VgpudError *reterr)
{
        _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;
        size_t at;
        int r;

        r = authz_decide(a, call, uid, questions, n, &at, &e);
        if (r >= 0)
                return r;

        /* The index may be beyond the questions: an instance may have gone in the meantime, and its question
         * with it. */
        bus_authz_log_refusal(a, call, &questions[MIN(at, n - 1)], &e);

        return vgpud_error_move(reterr, &e);
}

const char *bus_authz_detail(BusAuthz *a, sd_bus_message *call, const char *key)
{
        const Query *q = g_hash_table_lookup(a->queries, call);

        for (guint i = q ? q->asked->len : 0; i > 0; i--) {
                const Asked *asked = q->asked->pdata[i - 1];

                for (char **d = asked->details; d[0]; d += 2)
                        if (strcmp(d[0], key) == 0 && d[1][0] != '\0')
                                return d[1];
        }

        return NULL;
}

void bus_authz_ask_anew(BusAuthz *a, sd_bus_message *call)
{
        Query *q = g_hash_table_lookup(a->queries, call);

        if (q && q->allowed)
                query_drop(q);
}
