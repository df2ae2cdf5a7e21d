/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* dbus/admission/ on a connection to a bus daemon that the test plays, so that the test decides about the
 * time and the content of each answer. */

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dbus/admission/bus-admission.h"
#include "dbus/admission/bus-callers.h"
#include "dbus/admission/bus-unread.h"
#include "fixture.h"

#define BUS_NAME "org.freedesktop.DBus"
#define GONE     "gone"
#define MIB      (1024U * 1024U)

typedef struct Network {
        sd_event *event;
        sd_bus *bus;  /* the connection of vgpud */
        sd_bus *peer; /* the bus daemon */

        bool hold;               /* do not answer questions for uids yet */
        GQueue questions;        /* sd_bus_message, ref: unanswered */
        const char *gone;        /* a name whose connection has ended; NULL: none */
        unsigned stats_asked;    /* calls of GetConnectionStats */
        const char *stats_error; /* NULL: answer with `bytes` */
        uint32_t bytes;

        BusAdmission *admission;
        GString *log; /* one word for each call of a handler or callback */
} Network;

static void network_settle(Network *n)
{
        while (sd_event_run(n->event, 0) > 0)
                ;
}

/* ---- the bus daemon ---- */

static void send_as_bus(Network *n, sd_bus_message *m)
{
        g_assert_cmpint(sd_bus_message_set_sender(m, BUS_NAME), >=, 0);
        g_assert_cmpint(sd_bus_send(n->peer, m, NULL), >=, 0);
}

/* Answers a question for a uid: ":1.7" is root, and ":1.N" is the user with uid N. */
static void answer_uid(Network *n, sd_bus_message *question)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        const char *name;
        uint32_t uid;

        g_assert_cmpint(sd_bus_message_read(question, "s", &name), >, 0);
        if (g_strcmp0(name, n->gone) == 0)
                g_assert_cmpint(sd_bus_message_new_method_errorf(question, &m, BUS_NAME ".Error.NameHasNoOwner",
                                                                 GONE),
                                >=, 0);
        else {
                uid = (uint32_t)g_ascii_strtoull(name + strlen(":1."), NULL, 10);
                g_assert_cmpint(sd_bus_message_new_method_return(question, &m), >=, 0);
                g_assert_cmpint(sd_bus_message_append(m, "u", uid == 7 ? 0 : uid), >=, 0);
        }

        send_as_bus(n, m);
}

static void answer_all(Network *n)
{
        sd_bus_message *question;

        n->hold = false;
        while ((question = g_queue_pop_head(&n->questions))) {
                answer_uid(n, question);
                sd_bus_message_unref(question);
        }

        network_settle(n);
}

static void answer_stats(Network *n, sd_bus_message *question)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;

        n->stats_asked++;
        if (n->stats_error)
                g_assert_cmpint(sd_bus_message_new_method_errorf(question, &m, n->stats_error, GONE), >=, 0);
        else {
                g_assert_cmpint(sd_bus_message_new_method_return(question, &m), >=, 0);
                g_assert_cmpint(sd_bus_message_append(m, "a{sv}", 2, "Other", "s", "x", "IncomingBytes", "u",
                                                      n->bytes),
                                >=, 0);
        }

        send_as_bus(n, m);
}

static int on_peer_message(sd_bus_message *m, void *userdata, sd_bus_error *ret_error)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        Network *n = userdata;
        const char *member = sd_bus_message_get_member(m);
        uint8_t type;

        g_assert_cmpint(sd_bus_message_get_type(m, &type), >=, 0);
        if (type != SD_BUS_MESSAGE_METHOD_CALL)
                return 0;

        if (strcmp(member, "GetConnectionUnixUser") == 0) {
                if (n->hold)
                        g_queue_push_tail(&n->questions, sd_bus_message_ref(m));
                else
                        answer_uid(n, m);
                return 1;
        }

        if (strcmp(member, "GetConnectionStats") == 0) {
                answer_stats(n, m);
                return 1;
        }

        g_assert_cmpint(sd_bus_message_new_method_return(m, &reply), >=, 0);
        if (strcmp(member, "Hello") == 0)
                g_assert_cmpint(sd_bus_message_append(reply, "s", ":1.1"), >=, 0);
        send_as_bus(n, reply);

        return 1;
}

/* Sends the signal that a connection has ended, with this sender. */
static void tell_left(Network *n, const char *sender, const char *name)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;

        g_assert_cmpint(sd_bus_message_new_signal(n->peer, &m, "/org/freedesktop/DBus", BUS_NAME,
                                                  "NameOwnerChanged"),
                        >=, 0);
        g_assert_cmpint(sd_bus_message_append(m, "sss", name, name, ""), >=, 0);
        g_assert_cmpint(sd_bus_message_set_sender(m, sender), >=, 0);
        g_assert_cmpint(sd_bus_send(n->peer, m, NULL), >=, 0);
        network_settle(n);
}

/* ---- the daemon ---- */

/* Handles every call that the admission lets through. */
static int on_call(sd_bus_message *m, void *userdata, sd_bus_error *ret_error)
{
        _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;
        Network *n = userdata;
        uint8_t type;
        uid_t uid;
        int r;

        g_assert_cmpint(sd_bus_message_get_type(m, &type), >=, 0);
        if (type != SD_BUS_MESSAGE_METHOD_CALL)
                return 0;

        r = bus_admission_identify(n->admission, m, &uid, &e);
        if (r < 0)
                return sd_bus_error_set(ret_error, vgpud_error_code_to_dbus(e.code), e.message);
        if (r == 0)
                return 1;

        g_string_append_printf(n->log, "uid%u ", uid);

        return sd_bus_reply_method_return(m, NULL) < 0 ? -EIO : 1;
}

static Network *network_new(bool with_admission)
{
        Network *n = g_new0(Network, 1);
        sd_id128_t id = SD_ID128_MAKE(aa, 71, 2a, 28, 50, c4, 43, 1a, 8c, 9e, 52, 29, 8a, 24, 6a, 3c);
        int fds[2];

        n->log = g_string_new(NULL);
        g_queue_init(&n->questions);
        g_assert_cmpint(sd_event_new(&n->event), >=, 0);
        g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), ==, 0);
        g_assert_cmpint(sd_bus_new(&n->peer), >=, 0);
        g_assert_cmpint(sd_bus_set_fd(n->peer, fds[0], fds[0]), >=, 0);
        g_assert_cmpint(sd_bus_set_server(n->peer, true, id), >=, 0);
        g_assert_cmpint(sd_bus_set_anonymous(n->peer, true), >=, 0);
        g_assert_cmpint(sd_bus_start(n->peer), >=, 0);
        g_assert_cmpint(sd_bus_add_filter(n->peer, NULL, on_peer_message, n), >=, 0);
        g_assert_cmpint(sd_bus_new(&n->bus), >=, 0);
        g_assert_cmpint(sd_bus_set_fd(n->bus, fds[1], fds[1]), >=, 0);
        g_assert_cmpint(sd_bus_set_anonymous(n->bus, true), >=, 0);
        g_assert_cmpint(sd_bus_set_bus_client(n->bus, true), >=, 0);
        g_assert_cmpint(sd_bus_start(n->bus), >=, 0);
        g_assert_cmpint(sd_bus_attach_event(n->peer, n->event, 0), >=, 0);
        g_assert_cmpint(sd_bus_attach_event(n->bus, n->event, 0), >=, 0);

        if (with_admission) {
                /* The filter that is added last is called first. */
                g_assert_cmpint(sd_bus_add_filter(n->bus, NULL, on_call, n), >=, 0);
                g_assert_cmpint(bus_admission_new(n->bus, &n->admission), >=, 0);
        }

        network_settle(n);

        return n;
}

static void unref_message(gpointer p)
{
        sd_bus_message_unref(p);
}

static Network *network_free(Network *n)
{
        g_queue_clear_full(&n->questions, unref_message);
        bus_admission_free(n->admission);
        sd_bus_close_unref(n->bus);
        sd_bus_close_unref(n->peer);
        sd_event_unref(n->event);
        g_string_free(n->log, true);
        g_free(n);

        return NULL;
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Network, network_free)

/* ---- calls ---- */

static int on_answer(sd_bus_message *m, void *userdata, sd_bus_error *ret_error)
{
        Network *n = userdata;
        const sd_bus_error *e = sd_bus_message_get_error(m);

        g_string_append_printf(n->log, "%s ", e ? strrchr(e->name, '.') + 1 : "reply");

        return 0;
}

static sd_bus_message *new_call(Network *n, const char *sender, size_t bytes)
{
        g_autofree char *text = g_strnfill(bytes, 'x');
        sd_bus_message *m;

        g_assert_cmpint(sd_bus_message_new_method_call(n->peer, &m, VGPUD_BUS_NAME, VGPUD_PATH_ROOT,
                                                       VGPUD_INTERFACE_MANAGER, "Create"),
                        >=, 0);
        g_assert_cmpint(sd_bus_message_append(m, "s", text), >=, 0);
        g_assert_cmpint(sd_bus_message_set_sender(m, sender), >=, 0);

        return m;
}

static void call(Network *n, const char *sender, size_t bytes)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = new_call(n, sender, bytes);

        g_assert_cmpint(sd_bus_call_async(n->peer, NULL, m, on_answer, n, UINT64_MAX), >=, 0);
        network_settle(n);
}

/* Sends one large call for each of many unknown senders, until vgpud refuses a call. */
static void flood(Network *n, size_t bytes)
{
        n->hold = true;

        for (unsigned i = 100; !strstr(n->log->str, "TooManyCalls"); i++) {
                g_autofree char *sender = g_strdup_printf(":1.%u", i);

                /* None of the i - 100 calls so far was refused: they may exceed the limit by two at most. */
                g_assert_cmpuint(i * bytes, <=, (100 * bytes) + (size_t)BUS_UNKNOWN_BYTES_MAX + (2 * bytes));
                call(n, sender, bytes);
        }

        g_string_truncate(n->log, 0);
}

/* ---- tests ---- */

/* Calls of users fill all the bytes for unknown senders. A large first call of root still gets a place, and
 * a larger call of a user is refused. */
static void test_large_call_of_root(void)
{
        g_autoptr(Network) n = network_new(true);

        flood(n, (size_t)100 * 1024);
        call(n, ":1.7", (size_t)96 * 1024);
        g_assert_cmpstr(n->log->str, ==, "TooManyCalls "); /* the refused call is a user's */
        g_string_truncate(n->log, 0);
        answer_all(n);
        g_assert_nonnull(strstr(n->log->str, "uid0 "));
}

/* The largest waiting call is root's, so vgpud refuses that call, but serves root's next call during the
 * flood. */
static void test_largest_call_of_root(void)
{
        g_autoptr(Network) n = network_new(true);

        flood(n, (size_t)100 * 1024);
        call(n, ":1.7", (size_t)120 * 1024);
        g_assert_cmpstr(n->log->str, ==, "TooManyCalls ");
        g_string_truncate(n->log, 0);

        for (GList *l = n->questions.head; l; l = l->next) {
                const char *name;

                g_assert_cmpint(sd_bus_message_read(l->data, "s", &name), >, 0);
                g_assert_cmpint(sd_bus_message_rewind(l->data, true), >=, 0);
                if (strcmp(name, ":1.7") == 0)
                        answer_uid(n, l->data);
        }

        network_settle(n);
        call(n, ":1.7", (size_t)120 * 1024);
        g_assert_cmpstr(n->log->str, ==, "uid0 reply ");
}

/* A small first call of a sender always gets a place. A second call gets only the sender's share. */
static void test_small_call(void)
{
        g_autoptr(Network) n = network_new(true);

        flood(n, (size_t)100 * 1024);
        call(n, ":1.7", 64);
        g_assert_cmpstr(n->log->str, ==, "");
        call(n, ":1.7", (size_t)100 * 1024);
        g_assert_cmpstr(n->log->str, ==, "TooManyCalls ");
        answer_all(n);
        g_assert_nonnull(strstr(n->log->str, "uid0 "));
}

static void on_told(void *userdata)
{
}

static void count(BusUnread *u, Network *n)
{
        for (unsigned i = 0; i < 16; i++)
                (void)bus_unread_count(u);
        network_settle(n);
}

/* A temporary error changes nothing. Only a bus that cannot count unread answers is not asked again. */
static void test_unread_errors(void)
{
        static const char *const passing[] = { SD_BUS_ERROR_NO_REPLY, SD_BUS_ERROR_TIMEOUT,
                                               SD_BUS_ERROR_LIMITS_EXCEEDED, SD_BUS_ERROR_NO_MEMORY };
        static const char *const final[] = { SD_BUS_ERROR_UNKNOWN_METHOD, SD_BUS_ERROR_UNKNOWN_INTERFACE,
                                             SD_BUS_ERROR_ACCESS_DENIED, SD_BUS_ERROR_FAILED };
        g_autoptr(Network) n = network_new(false);
        BusUnread *u = bus_unread_new(n->bus, on_told, NULL);

        n->bytes = BUS_UNREAD_MANY_BYTES;
        count(u, n);
        g_assert_cmpuint(n->stats_asked, ==, 1);
        g_assert_true(bus_unread_is_many(u));

        for (size_t i = 0; i < G_N_ELEMENTS(passing); i++) {
                n->stats_error = passing[i];
                count(u, n);
                g_assert_cmpuint(n->stats_asked, ==, i + 2);
                g_assert_true(bus_unread_is_many(u));
        }

        n->stats_error = NULL;
        n->bytes = MIB;
        count(u, n);
        g_assert_false(bus_unread_is_many(u));
        bus_unread_free(u);

        for (size_t i = 0; i < G_N_ELEMENTS(final); i++) {
                u = bus_unread_new(n->bus, on_told, NULL);
                n->stats_error = final[i];
                n->stats_asked = 0;
                for (unsigned j = 0; j < 4; j++)
                        count(u, n);
                g_assert_cmpuint(n->stats_asked, ==, 1);
                g_assert_cmpint(bus_unread_count(u), ==, BUS_UNREAD_FEW);
                bus_unread_free(u);
        }
}

static void on_identified(const char *name, uid_t uid, int error, void *userdata)
{
        g_string_append_printf(userdata, error < 0 ? "%s:unknown " : "%s:%u ", name, uid);
}

typedef struct Watches {
        BusWatch *w[2];
        unsigned left;
} Watches;

/* Frees both watches. */
static void on_left(void *userdata)
{
        Watches *w = userdata;

        w->left++;
        for (size_t i = 0; i < G_N_ELEMENTS(w->w); i++)
                w->w[i] = bus_watch_free(w->w[i]);
}

/* vgpud remembers nothing of a caller whose connection has ended, in whatever order events arrive. */
static void test_callers_leave(void)
{
        g_autoptr(Network) n = network_new(false);
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = new_call(n, ":1.9", 1);
        BusCallers *c;
        Watches w = { 0 };

        g_assert_cmpint(bus_callers_new(n->bus, on_identified, n->log, &c), >=, 0);
        network_settle(n);

        g_assert_cmpint(bus_callers_ask(c, ":1.8"), >=, 0);
        network_settle(n);
        g_assert_cmpuint(bus_callers_count(c), ==, 1);
        tell_left(n, ":1.66", ":1.8"); /* forged */
        g_assert_cmpuint(bus_callers_count(c), ==, 1);
        tell_left(n, BUS_NAME, ":1.8");
        g_assert_cmpuint(bus_callers_count(c), ==, 0);

        /* vgpud asks for the uid after the end of the connection. */
        n->gone = ":1.9";
        g_assert_cmpint(bus_callers_ask(c, ":1.9"), >=, 0);
        network_settle(n);
        g_assert_cmpuint(bus_callers_count(c), ==, 0);
        g_assert_cmpstr(n->log->str, ==, ":1.8:8 :1.9:unknown ");

        /* The watch starts after the end of the connection. */
        w.w[0] = bus_callers_watch(c, m, on_left, &w);
        w.w[1] = bus_callers_watch(c, m, on_left, &w);
        w.w[0] = bus_watch_free(w.w[0]);
        g_assert_cmpuint(bus_callers_count(c), ==, 1);
        w.w[1] = bus_watch_free(w.w[1]);
        g_assert_cmpuint(bus_callers_count(c), ==, 0);

        w.w[0] = bus_callers_watch(c, m, on_left, &w);
        w.w[1] = bus_callers_watch(c, m, on_left, &w);
        tell_left(n, BUS_NAME, ":1.9");
        g_assert_cmpuint(w.left, ==, 1);
        g_assert_cmpuint(bus_callers_count(c), ==, 0);
        bus_callers_free(c);
}

int main(int argc, char *argv[])
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/admission/large-call-of-root", test_large_call_of_root);
        g_test_add_func("/admission/largest-call-of-root", test_largest_call_of_root);
        g_test_add_func("/admission/small-call", test_small_call);
        g_test_add_func("/admission/unread-errors", test_unread_errors);
        g_test_add_func("/admission/callers-leave", test_callers_leave);

        return g_test_run();
}
