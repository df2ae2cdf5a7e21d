/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Calls through a bus daemon: several users, callers whose connection ends, the name on the bus, and the
 * policy. The daemon under test and the clients are connections of this process. Needs root. */

#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <glib/gstdio.h>

#include "fixture.h"

#define POLKIT_NAME "org.freedesktop.PolicyKit1"
#define USER        65534U

static const char *dbus_daemon, *policy_file; /* the two arguments of the program */

typedef struct Network {
        char *folder, *address;
        GPid daemon;
        sd_event *event;
        sd_bus *server, *polkit;
        Model *model;
        Bus *bus;
        Gpu *gpu;
        sd_bus_message *question; /* the last question to polkit, unanswered */
        char *question_id;        /* cancellation id of the question */
        char *cancelled;          /* cancellation id that polkit has received */
} Network;

static sd_bus *connect_as(Network *n, uid_t uid)
{
        sd_bus *bus;

        g_assert_cmpint(seteuid(uid), ==, 0);
        g_assert_cmpint(sd_bus_new(&bus), >=, 0);
        g_assert_cmpint(sd_bus_set_address(bus, n->address), >=, 0);
        g_assert_cmpint(sd_bus_set_bus_client(bus, true), >=, 0);
        g_assert_cmpint(sd_bus_start(bus), >=, 0);
        g_assert_cmpint(seteuid(0), ==, 0);
        g_assert_cmpint(sd_bus_attach_event(bus, n->event, 0), >=, 0);

        return bus;
}

static int on_polkit_call(sd_bus_message *m, void *userdata, sd_bus_error *ret_error)
{
        Network *n = userdata;
        const char *text;

        if (sd_bus_message_is_method_call(m, "org.freedesktop.PolicyKit1.Authority", "CheckAuthorization") >
            0) {
                g_assert_null(n->question);
                n->question = sd_bus_message_ref(m);
                g_assert_cmpint(sd_bus_message_skip(m, "(sa{sv})sa{ss}u"), >=, 0);
                g_assert_cmpint(sd_bus_message_read_basic(m, 's', &text), >, 0);
                g_free(n->question_id);
                n->question_id = g_strdup(text);
                return 1;
        }

        if (sd_bus_message_is_method_call(m, "org.freedesktop.PolicyKit1.Authority",
                                          "CancelCheckAuthorization") > 0) {
                g_assert_cmpint(sd_bus_message_read_basic(m, 's', &text), >, 0);
                g_free(n->cancelled);
                n->cancelled = g_strdup(text);
                return sd_bus_reply_method_return(m, NULL) < 0 ? -EIO : 1;
        }

        return 0;
}

static void write_config(Network *n)
{
        g_autofree char *path = g_build_filename(n->folder, "bus.conf", NULL);
        g_autofree char *text = g_strdup_printf(
                        "<!DOCTYPE busconfig PUBLIC \"-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN\" \"http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd\">\n"
                        "<busconfig><type>custom</type><listen>unix:path=%s/socket</listen><auth>EXTERNAL</auth>\n"
                        "<policy context=\"default\"><allow user=\"*\"/><deny own=\"*\"/><deny send_type=\"method_call\"/>\n"
                        "<allow send_type=\"signal\"/><allow send_requested_reply=\"true\" send_type=\"method_return\"/>\n"
                        "<allow send_requested_reply=\"true\" send_type=\"error\"/><allow receive_type=\"method_call\"/>\n"
                        "<allow receive_type=\"method_return\"/><allow receive_type=\"error\"/><allow receive_type=\"signal\"/>\n"
                        "<allow send_destination=\"org.freedesktop.DBus\" send_interface=\"org.freedesktop.DBus\"/></policy>\n"
                        "<policy user=\"root\"><allow own=\"" POLKIT_NAME
                        "\"/><allow send_destination=\"" POLKIT_NAME "\"/></policy>\n"
                        "<include>%s</include></busconfig>\n",
                        n->folder, policy_file);

        g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

/* Runs in the child before exec(). A test that fails exits without network_free(), so the kernel has to end the
 * bus daemon. */
static void end_with_parent(gpointer userdata)
{
        (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
}

static void start_daemon(Network *n)
{
        g_autofree char *config = g_strdup_printf("--config-file=%s/bus.conf", n->folder);
        char *argv[] = { (char *)dbus_daemon, (char *)"--nofork", (char *)"--print-address", config, NULL };
        char line[512];
        ssize_t size;
        int out;

        g_assert_true(g_spawn_async_with_pipes(NULL, argv, NULL, G_SPAWN_DO_NOT_REAP_CHILD, end_with_parent,
                                               NULL, &n->daemon, NULL, &out, NULL, NULL));
        size = read(out, line,
                    sizeof line - 1); /* dbus-daemon prints the address in one write when it listens */
        g_assert_cmpint(size, >, 0);
        line[size] = '\0';
        n->address = g_strdup(g_strstrip(line));
        close(out);
}

static Network *network_new(bool with_polkit)
{
        Network *n = g_new0(Network, 1);

        n->folder = g_dir_make_tmp("vgpud-bus-XXXXXX", NULL);
        g_assert_nonnull(n->folder);
        g_assert_cmpint(chmod(n->folder, 0755), ==, 0);
        write_config(n);
        start_daemon(n);
        g_assert_cmpint(sd_event_new(&n->event), >=, 0);
        n->server = connect_as(n, 0);
        n->polkit = connect_as(n, 0);
        g_assert_cmpint(sd_bus_add_filter(n->polkit, NULL, on_polkit_call, n), >=, 0);

        if (with_polkit)
                g_assert_cmpint(sd_bus_request_name(n->polkit, POLKIT_NAME, 0), >=, 0);
        n->model = fake_model_new();
        n->gpu = fake_model_add_gpu(n->model, "mdpy");
        fake_model_add_instance(n->gpu, UUID_A, INSTANCE_ORIGIN_VGPUD, USER, "desk");
        g_assert_cmpint(bus_new(n->event, n->model, n->server, &n->bus), ==, 0);
        g_assert_cmpint(bus_request_name(n->bus), ==, 0);

        return n;
}

static Network *network_free(Network *n)
{
        g_autofree char *config = g_build_filename(n->folder, "bus.conf", NULL);
        g_autofree char *socket = g_build_filename(n->folder, "socket", NULL);

        bus_free(n->bus);
        fake_model_free(n->model);
        sd_bus_message_unref(n->question);
        sd_bus_flush_close_unref(n->server);
        sd_bus_flush_close_unref(n->polkit);
        sd_event_unref(n->event);
        g_assert_cmpint(kill(n->daemon, SIGTERM), ==, 0);
        g_assert_cmpint(waitpid(n->daemon, NULL, 0), ==, n->daemon);
        g_spawn_close_pid(n->daemon);
        (void)g_unlink(config);
        (void)g_unlink(socket);
        (void)g_rmdir(n->folder);
        g_free(n->question_id);
        g_free(n->cancelled);
        g_free(n->folder);
        g_free(n->address);
        g_free(n);

        return NULL;
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Network, network_free)

/* Run the event loop until the condition holds. Only the time limit of the test ends an endless wait. */
#define run_until(n, condition) \
        while (!(condition))    \
        g_assert_cmpint(sd_event_run((n)->event, UINT64_MAX), >=, 0)

static int on_reply(sd_bus_message *m, void *userdata, sd_bus_error *ret_error)
{
        sd_bus_message **reply = userdata;

        *reply = sd_bus_message_ref(m);

        return 0;
}

static void send_call(sd_bus *client, sd_bus_message **reply, const char *path, const char *interface,
                      const char *member, const char *types, ...)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        va_list ap;

        g_assert_cmpint(sd_bus_message_new_method_call(client, &m, VGPUD_BUS_NAME, path, interface, member), >=,
                        0);
        va_start(ap, types);
        g_assert_cmpint(sd_bus_message_appendv(m, types, ap), >=, 0);
        va_end(ap);
        g_assert_cmpint(sd_bus_call_async(client, NULL, m, on_reply, reply, UINT64_MAX), >=, 0);
}

/* Waits for the reply, and returns it or its error as text. */
static char *finish_call(Network *n, sd_bus_message **reply)
{
        const sd_bus_error *e;
        char *text;

        run_until(n, *reply);
        e = sd_bus_message_get_error(*reply);
        text = e ? g_strdup_printf("%s: %s", e->name, e->message) : message_text(*reply);
        *reply = sd_bus_message_unref(*reply);

        return text;
}

/* Returns when the server has handled all earlier messages on this connection. */
static void barrier(Network *n, sd_bus *connection)
{
        sd_bus_message *reply = NULL;

        send_call(connection, &reply, VGPUD_PATH_ROOT, "org.freedesktop.DBus.Peer", "Ping", "");
        g_autofree char *text = finish_call(n, &reply);
        g_assert_cmpstr(text, ==, "");
}

static void polkit_says(Network *n, bool yes)
{
        g_assert_cmpint(sd_bus_reply_method_return(n->question, "(bba{ss})", yes, false, 0), >=, 0);
        n->question = sd_bus_message_unref(n->question);
}

static bool skip(void)
{
        if (geteuid() == 0)
                return false;

        g_test_skip("needs root, to be several users");

        return true;
}

static void test_user(void)
{
        if (skip())
                return;

        g_autoptr(Network) n = network_new(true);
        sd_bus *client = connect_as(n, USER);
        sd_bus_message *reply = NULL;
        const char *kind, *key, *name, *unique;

        send_call(client, &reply, PATH_GPU, VGPUD_INTERFACE_GPU, "Rescan", "a{sv}", 0);
        run_until(n, n->question);
        g_assert_cmpint(sd_bus_message_rewind(n->question, true), >=, 0);
        g_assert_cmpint(sd_bus_message_read(n->question, "(sa{sv})", &kind, 1, &key, "s", &name), >, 0);
        g_assert_cmpint(sd_bus_get_unique_name(client, &unique), >=, 0);
        g_assert_cmpstr(name, ==, unique);
        polkit_says(n, true);
        g_autofree char *text = finish_call(n, &reply);
        g_assert_cmpstr(text, ==, "\"" VGPUD_PATH_JOB "/1\"");
        g_assert_cmpuint(fake_model(n->model)->requester, ==, USER);

        send_call(client, &reply, PATH_GPU, VGPUD_INTERFACE_GPU, "Rescan", "a{sv}", 0);
        run_until(n, n->question);
        polkit_says(n, false);
        g_autofree char *denied = finish_call(n, &reply);
        g_assert_true(g_str_has_prefix(denied, "org.vgpud1.Error.NotAuthorized: "));
        assert_contains(denied, "org.vgpud1.rescan");
        g_assert_cmpuint(fake_model(n->model)->rescans, ==, 1);
        sd_bus_flush_close_unref(client);
}

static void test_no_polkit(void)
{
        if (skip())
                return;

        g_autoptr(Network) n = network_new(false);
        sd_bus *client = connect_as(n, USER), *root = connect_as(n, 0);
        sd_bus_message *reply = NULL;

        send_call(client, &reply, PATH_GPU, VGPUD_INTERFACE_GPU, "Rescan", "a{sv}", 0);
        g_autofree char *text = finish_call(n, &reply);
        g_assert_true(g_str_has_prefix(text, "org.vgpud1.Error.NotAuthorized: "));
        assert_contains(text, "org.vgpud1.rescan");
        g_assert_cmpuint(fake_model(n->model)->rescans, ==, 0);
        /* Root needs no polkit. */
        send_call(root, &reply, PATH_GPU, VGPUD_INTERFACE_GPU, "Rescan", "a{sv}", 0);
        g_autofree char *done = finish_call(n, &reply);
        g_assert_cmpstr(done, ==, "\"" VGPUD_PATH_JOB "/1\"");
        g_assert_cmpuint(fake_model(n->model)->requester, ==, 0);
        sd_bus_flush_close_unref(client);
        sd_bus_flush_close_unref(root);
}

/* The connection of the caller ends: vgpud cancels the question to polkit, and a late "yes" has no effect. */
static void test_caller_leaves(void)
{
        if (skip())
                return;

        g_autoptr(Network) n = network_new(true);
        sd_bus *client = connect_as(n, USER);
        sd_bus_message *reply = NULL;

        send_call(client, &reply, PATH_GPU, VGPUD_INTERFACE_GPU, "Rescan", "a{sv}", 0);
        run_until(n, n->question);
        sd_bus_flush_close_unref(client);
        g_clear_pointer(&reply, sd_bus_message_unref);
        run_until(n, n->cancelled);
        g_assert_cmpstr(n->cancelled, ==, n->question_id);
        polkit_says(n, true);
        barrier(n, n->polkit);
        g_assert_cmpuint(fake_model(n->model)->rescans, ==, 0);
}

static void test_waiting_caller_leaves(void)
{
        if (skip())
                return;

        g_autoptr(Network) n = network_new(true);
        sd_bus *client = connect_as(n, 0);
        sd_bus_message *reply = NULL;

        send_call(client, &reply, PATH_GPU, VGPUD_INTERFACE_GPU, "Rescan", "a{sv}", 1, "wait", "b", true);
        run_until(n, fake_model(n->model)->rescans == 1);
        sd_bus_flush_close_unref(client);
        g_clear_pointer(&reply, sd_bus_message_unref);
        fake_model_end_job(model_get_job(n->model, 1), JOB_DONE, VGPUD_ERROR_NONE, NULL);
        barrier(n, n->polkit);
        g_assert_cmpuint(g_hash_table_size(n->model->jobs), ==, 0);
}

static void test_name(void)
{
        if (skip())
                return;

        g_autoptr(Network) n = network_new(true);
        sd_bus *user = connect_as(n, USER), *second = connect_as(n, 0);
        Model *model = fake_model_new();
        Bus *bus;

        g_assert_cmpint(sd_bus_request_name(user, VGPUD_BUS_NAME, 0), ==, -EACCES);
        g_assert_cmpint(bus_new(n->event, model, second, &bus), ==, 0);
        g_assert_cmpint(bus_request_name(bus), ==, -EEXIST);
        bus_free(bus);
        fake_model_free(model);
        sd_bus_flush_close_unref(user);
        sd_bus_flush_close_unref(second);
}

/* Calls that org.vgpud1.conf must allow to every user. */
static void test_policy(void)
{
        static const char *const readable[][4] = {
                { VGPUD_PATH_ROOT, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects", NULL },
                { VGPUD_PATH_ROOT, "org.freedesktop.DBus.Introspectable", "Introspect", NULL },
                { VGPUD_PATH_ROOT, "org.freedesktop.DBus.Peer", "Ping", NULL },
                { VGPUD_PATH_ROOT, "org.freedesktop.DBus.Properties", "GetAll", VGPUD_INTERFACE_MANAGER },
                { PATH_GPU, "org.freedesktop.DBus.Properties", "GetAll", VGPUD_INTERFACE_GPU },
                { PATH_A, "org.freedesktop.DBus.Properties", "GetAll", VGPUD_INTERFACE_INSTANCE },
                { VGPUD_PATH_JOB "/1", "org.freedesktop.DBus.Properties", "GetAll", VGPUD_INTERFACE_JOB },
        };

        if (skip())
                return;

        g_autoptr(Network) n = network_new(true);
        sd_bus *client = connect_as(n, USER);
        sd_bus_message *reply = NULL;

        fake_model_add_job(n->gpu, &fake_kind_rescan, USER);

        for (size_t i = 0; i < G_N_ELEMENTS(readable); i++) {
                g_autofree char *text = NULL;

                send_call(client, &reply, readable[i][0], readable[i][1], readable[i][2],
                          readable[i][3] ? "s" : "", readable[i][3]);
                text = finish_call(n, &reply);
                g_assert_false(g_str_has_prefix(text, "org."));
        }

        send_call(client, &reply, PATH_A, VGPUD_INTERFACE_INSTANCE, "Destroy", "a{sv}", 0);
        run_until(n, n->question);
        polkit_says(n, true);
        g_autofree char *destroyed = finish_call(n, &reply);
        g_assert_cmpstr(destroyed, ==, "\"" VGPUD_PATH_JOB "/2\"");
        send_call(client, &reply, VGPUD_PATH_JOB "/1", VGPUD_INTERFACE_JOB, "Cancel", "a{sv}", 0);
        g_autofree char *cancelled = finish_call(n, &reply);
        g_assert_cmpstr(cancelled, ==, "");
        sd_bus_flush_close_unref(client);
}

int main(int argc, char *argv[])
{
        g_test_init(&argc, &argv, NULL);
        g_assert_cmpint(argc, ==, 3);
        dbus_daemon = argv[1];
        policy_file = argv[2];
        g_test_add_func("/daemon/user", test_user);
        g_test_add_func("/daemon/no-polkit", test_no_polkit);
        g_test_add_func("/daemon/caller-leaves", test_caller_leaves);
        g_test_add_func("/daemon/waiting-caller-leaves", test_waiting_caller_leaves);
        g_test_add_func("/daemon/name", test_name);
        g_test_add_func("/daemon/policy", test_policy);

        return g_test_run();
}
