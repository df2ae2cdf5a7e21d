/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fixture.h"

#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- text of messages ---- */

static void append_value(GString *s, sd_bus_message *m)
{
        const char *contents, *text;
        char type;
        union {
                uint8_t y;
                uint16_t q;
                int32_t i;
                uint32_t u;
                uint64_t t;
                int b;
        } v;
        int r;

        g_assert_cmpint(sd_bus_message_peek_type(m, &type, &contents), >, 0);
        if (strchr("aver", type)) {
                static const char *const brackets[] = {
                        ['a'] = "[]", ['v'] = "<>", ['e'] = "{}", ['r'] = "()"
                };
                const char *separator = "";

                g_assert_cmpint(sd_bus_message_enter_container(m, type, contents), >, 0);
                g_string_append_c(s, brackets[(int)type][0]);

                if (type == 'v')
                        g_string_append_printf(s, "%s ", contents);
                while ((r = sd_bus_message_at_end(m, false)) == 0) {
                        g_string_append(s, separator);
                        append_value(s, m);
                        separator = ", ";
                }

                g_assert_cmpint(r, >, 0);
                g_assert_cmpint(sd_bus_message_exit_container(m), >=, 0);
                g_string_append_c(s, brackets[(int)type][1]);
                return;
        }

        if (strchr("sog", type)) {
                g_assert_cmpint(sd_bus_message_read_basic(m, type, &text), >, 0);
                g_assert_true(g_utf8_validate(text, -1, NULL));
                g_string_append_printf(s, "\"%s\"", text);
                return;
        }

        g_assert_cmpint(sd_bus_message_read_basic(m, type, &v), >, 0);
        switch (type) {
        case 'y':
                g_string_append_printf(s, "%u", v.y);
                break;
        case 'q':
                g_string_append_printf(s, "%u", v.q);
                break;
        case 'i':
                g_string_append_printf(s, "%d", v.i);
                break;
        case 'u':
                g_string_append_printf(s, "%u", v.u);
                break;
        case 't':
                g_string_append_printf(s, "%" G_GUINT64_FORMAT, (guint64)v.t);
                break;
        case 'b':
                g_string_append(s, v.b ? "true" : "false");
                break;
        default:
                g_assert_not_reached();
        }
}

char *message_text(sd_bus_message *m)
{
        GString *s = g_string_new(NULL);
        const char *separator = "";

        g_assert_cmpint(sd_bus_message_rewind(m, true), >=, 0);

        while (sd_bus_message_at_end(m, true) == 0) {
                g_string_append(s, separator);
                append_value(s, m);
                separator = " ";
        }

        return g_string_free(s, false);
}

/* ---- sizes of messages ---- */

static size_t align_to(size_t offset, size_t n)
{
        return (offset + n - 1) / n * n;
}

static size_t type_alignment(char type)
{
        if (strchr("ygv", type))
                return 1;
        if (strchr("nq", type))
                return 2;

        return strchr("xtd({re", type) ? 8 : 4;
}

/* Returns the offset after the next value, by the rules of the D-Bus specification. `offset`: end of the
 * previous value. */
static size_t value_end(sd_bus_message *m, size_t offset)
{
        const char *contents, *text;
        uint64_t number;
        char type;

        g_assert_cmpint(sd_bus_message_peek_type(m, &type, &contents), >, 0);
        offset = align_to(offset, type_alignment(type));

        if (strchr("aver", type)) {
                if (type == 'a')
                        offset = align_to(offset + 4, type_alignment(contents[0]));
                if (type == 'v')
                        offset += strlen(contents) + 2;
                g_assert_cmpint(sd_bus_message_enter_container(m, type, contents), >, 0);
                while (sd_bus_message_at_end(m, false) == 0)
                        offset = value_end(m, offset);
                g_assert_cmpint(sd_bus_message_exit_container(m), >=, 0);
                return offset;
        }

        if (strchr("sog", type)) {
                g_assert_cmpint(sd_bus_message_read_basic(m, type, &text), >, 0);
                return offset + (type == 'g' ? 1 : 4) + strlen(text) + 1;
        }

        g_assert_cmpint(sd_bus_message_read_basic(m, type, &number), >, 0);

        return offset + type_alignment(type);
}

size_t message_body_size(sd_bus_message *m)
{
        size_t offset = 0;

        g_assert_cmpint(sd_bus_message_rewind(m, true), >=, 0);

        while (sd_bus_message_at_end(m, true) == 0)
                offset = value_end(m, offset);
        g_assert_cmpint(sd_bus_message_rewind(m, true), >=, 0);

        return offset;
}

/* ---- polkit ---- */

static int answer(sd_bus_message *question, PolkitPlay play)
{
        switch (play) {
        case POLKIT_SAYS_YES:
                return sd_bus_reply_method_return(question, "(bba{ss})", true, false, 0);
        case POLKIT_SAYS_NO:
                return sd_bus_reply_method_return(question, "(bba{ss})", false, false, 0);
        case POLKIT_SAYS_CHALLENGE:
                return sd_bus_reply_method_return(question, "(bba{ss})", false, true, 0);
        case POLKIT_SAYS_DISMISSED:
                return sd_bus_reply_method_return(question, "(bba{ss})", false, false, 1, "polkit.dismissed",
                                                  "true");
        case POLKIT_SAYS_NONSENSE:
                return sd_bus_reply_method_return(question, "s", "yes");
        case POLKIT_FAILS:
                return sd_bus_reply_method_errorf(question, "org.freedesktop.DBus.Error.ServiceUnknown",
                                                  "The name org.freedesktop.PolicyKit1 was not provided");
        case POLKIT_THINKS:
        default:
                g_assert_not_reached();
        }
}

static void read_question(Fixture *f, sd_bus_message *m)
{
        GString *s = g_string_new(NULL);
        const char *kind, *key, *sender, *action, *value, *cancellation;
        uint32_t flags;

        g_assert_cmpint(sd_bus_message_read(m, "(sa{sv})s", &kind, 1, &key, "s", &sender, &action), >, 0);
        g_assert_cmpstr(kind, ==, "system-bus-name");
        g_assert_cmpstr(key, ==, "name");
        g_assert_cmpint(sd_bus_message_enter_container(m, 'a', "{ss}"), >=, 0);

        while (sd_bus_message_read(m, "{ss}", &key, &value) > 0)
                g_string_append_printf(s, " %s=%s", key, value);
        g_assert_cmpint(sd_bus_message_exit_container(m), >=, 0);
        g_assert_cmpint(sd_bus_message_read(m, "us", &flags, &cancellation), >, 0);
        g_assert_cmpstr(cancellation, !=, "");
        g_free(f->question);
        f->question = g_strdup_printf("%s %s %u%s", action, sender, flags, s->str);
        g_string_free(s, true);
}

/* A filter, not a vtable, because sd-bus would refuse an answer of another type (POLKIT_SAYS_NONSENSE). */
static int on_message(sd_bus_message *m, void *userdata, sd_bus_error *ret_error)
{
        Fixture *f = userdata;

        if (sd_bus_message_is_method_call(m, "org.freedesktop.PolicyKit1.Authority", "CheckAuthorization") <= 0)
                return 0;

        f->asked++;
        read_question(f, m);

        if (f->polkit == POLKIT_THINKS)
                g_queue_push_tail(&f->thinking, sd_bus_message_ref(m));
        else
                g_assert_cmpint(answer(m, f->polkit), >=, 0);

        return 1;
}

void fixture_polkit_answers(Fixture *f, PolkitPlay play)
{
        sd_bus_message *question;

        while ((question = g_queue_pop_head(&f->thinking))) {
                g_assert_cmpint(answer(question, play), >=, 0);
                sd_bus_message_unref(question);
        }

        fixture_settle(f);
}

/* ---- the two ends ---- */

void make_pair(sd_event *event, sd_bus **server, sd_bus **client)
{
        sd_id128_t id = SD_ID128_MAKE(aa, 71, 2a, 28, 50, c4, 43, 1a, 8c, 9e, 52, 29, 8a, 24, 6a, 3c);
        int fds[2];

        g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), ==, 0);
        g_assert_cmpint(sd_bus_new(server), >=, 0);
        g_assert_cmpint(sd_bus_set_fd(*server, fds[0], fds[0]), >=, 0);
        g_assert_cmpint(sd_bus_set_server(*server, true, id), >=, 0);
        g_assert_cmpint(sd_bus_set_anonymous(*server, true), >=, 0);
        g_assert_cmpint(sd_bus_start(*server), >=, 0);
        g_assert_cmpint(sd_bus_new(client), >=, 0);
        g_assert_cmpint(sd_bus_set_fd(*client, fds[1], fds[1]), >=, 0);
        g_assert_cmpint(sd_bus_set_anonymous(*client, true), >=, 0);
        g_assert_cmpint(sd_bus_start(*client), >=, 0);
        g_assert_cmpint(sd_bus_attach_event(*server, event, 0), >=, 0);
        g_assert_cmpint(sd_bus_attach_event(*client, event, 0), >=, 0);
}

static int on_signal(sd_bus_message *m, void *userdata, sd_bus_error *ret_error)
{
        Fixture *f = userdata;
        const char *member = sd_bus_message_get_member(m), *path, *interface;

        if (strcmp(sd_bus_message_get_path(m), "/org/freedesktop/DBus/Local") == 0)
                return 0;

        f->signal_bytes += message_body_size(m);
        f->largest_signal = MAX(f->largest_signal, message_body_size(m));
        f->signals++;

        if (strcmp(member, "InterfacesAdded") == 0 || strcmp(member, "InterfacesRemoved") == 0) {
                g_assert_cmpint(sd_bus_message_read_basic(m, 'o', &path), >, 0);
                g_string_append_printf(f->log, "%c%s ", member[10] == 'A' ? '+' : '-', path);
        } else if (strcmp(member, "PropertiesChanged") == 0) {
                g_assert_cmpint(sd_bus_message_read_basic(m, 's', &interface), >, 0);
                g_string_append_printf(f->log, "~%s", sd_bus_message_get_path(m));
                g_assert_cmpint(sd_bus_message_enter_container(m, 'a', "{sv}"), >=, 0);

                while (sd_bus_message_enter_container(m, 'e', "sv") > 0) {
                        g_assert_cmpint(sd_bus_message_read_basic(m, 's', &interface), >, 0);
                        g_string_append_printf(f->log, ".%s", interface);
                        g_assert_cmpint(sd_bus_message_skip(m, "v"), >=, 0);
                        g_assert_cmpint(sd_bus_message_exit_container(m), >=, 0);
                }

                g_assert_cmpint(sd_bus_message_exit_container(m), >=, 0);
                g_string_append_c(f->log, ' ');
        } else {
                g_autofree char *text = message_text(m);

                g_string_append_printf(f->log, "%s(%s) ", member, text);
        }

        return 0;
}

Fixture *fixture_new(uid_t uid)
{
        Fixture *f = g_new0(Fixture, 1);
        uid_t before = geteuid();

        f->log = g_string_new(NULL);
        g_queue_init(&f->thinking);
        g_assert_cmpint(sd_event_new(&f->event), >=, 0);
        /* The kernel stores the credentials of the peer when a socketpair is created, so only make_pair()
         * runs with f->uid. */
        f->uid = before == 0 ? uid : before;
        g_assert_cmpint(seteuid(f->uid), ==, 0);
        make_pair(f->event, &f->server, &f->client);
        g_assert_cmpint(seteuid(before), ==, 0);

        g_assert_cmpint(sd_bus_add_filter(f->client, NULL, on_message, f), >=, 0);
        g_assert_cmpint(sd_bus_add_match(f->client, NULL, "type='signal'", on_signal, f), >=, 0);

        f->model = fake_model_new();
        f->gpu = fake_model_add_gpu(f->model, "mdpy");
        f->a = fake_model_add_instance(f->gpu, UUID_A, INSTANCE_ORIGIN_VGPUD, f->uid, "desk");
        f->b = fake_model_add_instance(f->gpu, UUID_B, INSTANCE_ORIGIN_FOREIGN, UID_INVALID, NULL);
        g_assert_cmpint(bus_new(f->event, f->model, f->server, &f->bus), ==, 0);
        fixture_settle(f);

        return f;
}

static void unref_message(gpointer p)
{
        sd_bus_message_unref(p);
}

Fixture *fixture_free(Fixture *f)
{
        if (!f)
                return NULL;

        g_queue_clear_full(&f->thinking, unref_message);
        bus_free(f->bus);
        fake_model_free(f->model);
        sd_bus_close_unref(f->client);
        /* Questions and waiting calls hold references to the connection. All must be gone by now, so that
         * f->server is the last reference. */
        sd_bus_close(f->server);
        f->server = sd_bus_unref(f->server);
        sd_event_unref(f->event);
        g_string_free(f->log, true);
        g_free(f->question);
        g_free(f);

        return NULL;
}

void fixture_settle(Fixture *f)
{
        int r;

        while ((r = sd_event_run(f->event, 0)) > 0)
                ;
        g_assert_cmpint(r, ==, 0);
}

void fixture_client_leaves(Fixture *f)
{
        g_queue_clear_full(&f->thinking, unref_message);
        sd_bus_flush(f->client);
        sd_bus_close(f->client);
        fixture_settle(f);
}

/* ---- calls ---- */

static int on_reply(sd_bus_message *m, void *userdata, sd_bus_error *ret_error)
{
        Call *c = userdata;

        c->reply = sd_bus_message_ref(m);
        g_string_append(c->fixture->log, sd_bus_message_is_method_error(m, NULL) ? "error " : "reply ");

        return 0;
}

Call *call_send(Fixture *f, sd_bus_message *m)
{
        Call *c = g_new0(Call, 1);

        c->fixture = f;
        g_assert_cmpint(sd_bus_call_async(f->client, &c->slot, m, on_reply, c, UINT64_MAX), >=, 0);

        return c;
}

Call *call_start(Fixture *f, CallFlags flags, const char *path, const char *interface, const char *member,
                 const char *types, ...)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        va_list ap;

        g_assert_cmpint(sd_bus_message_new_method_call(f->client, &m, VGPUD_BUS_NAME, path, interface, member),
                        >=, 0);

        if (!(flags & CALL_NAMELESS))
                g_assert_cmpint(sd_bus_message_set_sender(m, ":1.7"), >=, 0);
        g_assert_cmpint(sd_bus_message_set_allow_interactive_authorization(m, flags & CALL_INTERACTIVE), >=, 0);
        va_start(ap, types);
        g_assert_cmpint(sd_bus_message_appendv(m, types, ap), >=, 0);
        va_end(ap);

        return call_send(f, m);
}

Call *call_free(Call *c)
{
        if (!c)
                return NULL;

        sd_bus_slot_unref(c->slot);
        sd_bus_message_unref(c->reply);
        g_free(c);

        return NULL;
}

char *call_text(Call *c)
{
        const sd_bus_error *e;

        if (!c->reply)
                return g_strdup("");

        e = sd_bus_message_get_error(c->reply);
        if (e && strcmp(sd_bus_message_get_signature(c->reply, true), "sa{sv}") == 0) {
                g_autofree char *body = message_text(c->reply);

                return g_strdup_printf("%s: %s", e->name, body);
        }

        if (e)
                return g_strdup_printf("%s: %s", e->name, e->message);

        return message_text(c->reply);
}
