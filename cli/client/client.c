/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "cli/client/client.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/client/call-error.h"
#include "dbus/bus-names.h"

#define QUIET_ANSWER_USEC (2 * USEC_PER_SEC)

/* ---- the connection ---- */

int client_open(Client *c, const Arguments *args)
{
        _cleanup_error_info_ ErrorInfo e = { 0 };
        g_autofree char *message = NULL;
        bool denied;
        int r;

        *c = (Client){ .args = args };
        agent_init(&c->agent);

        r = args->host ? ssh_open(&c->ssh, args->host, true, &c->bus) : sd_bus_open_system(&c->bus);
        if (r >= 0)
                return 0;

        denied = r == -EACCES || r == -EPERM;
        message = args->host ? g_strdup_printf("Could not start a connection to %s: %s", args->host,
                                               strerror(-r))
                             : g_strdup_printf("Could not connect to the system bus: %s", strerror(-r));
        call_error_set(&e, denied ? SD_BUS_ERROR_ACCESS_DENIED : SD_BUS_ERROR_NO_SERVER, message);
        e.status = denied ? vgpud_error_code_to_exit_status(VGPUD_ERROR_NOT_AUTHORIZED) : EXIT_FAILURE;

        if (args->host)
                error_info_set_hint(&e, VGPUD_HINT_CHECK_SSH, "check that \"ssh HOST true\" works");
        else
                error_info_set_hint(&e, VGPUD_HINT_CHECK_BUS, "check that the bus runs: systemctl status dbus");

        return error_info_print(args, &e, NULL);
}

int client_open_quiet(Client *c, const Arguments *args)
{
        int r;

        *c = (Client){ .args = args, .quiet = true };
        agent_init(&c->agent);
        r = args->host ? ssh_open(&c->ssh, args->host, false, &c->bus) : sd_bus_open_system(&c->bus);

        return r < 0 ? EXIT_FAILURE : 0;
}

void client_close(Client *c)
{
        agent_close(&c->agent);
        /* Close without a flush, because vgpuctl waits for no answer any more. */
        sd_bus_close(c->bus);
        /* The bus forgets the subscriptions of a closed connection by itself. */
        for (size_t i = 0; i < G_N_ELEMENTS(c->matches); i++)
                c->matches[i] = sd_bus_slot_unref(c->matches[i]);
        c->bus = sd_bus_unref(c->bus);
        ssh_close(&c->ssh);
        g_free(c->daemon);
}

void client_allow_password(Client *c)
{
        if (c->args->ask_password && !c->args->host)
                agent_open(&c->agent);
}

/* ---- calls ---- */

int client_not_sent(const Client *c, int r)
{
        g_assert(r < 0);

        return c->quiet ? EXIT_FAILURE
                        : fail(c->args, VGPUD_ERROR_FAILED, NULL, "Could not build a D-Bus call: %s",
                               strerror(-r));
}

int client_unreadable(const Client *c, int r)
{
        g_assert(r < 0);

        return c->quiet ? EXIT_FAILURE
                        : fail(c->args, VGPUD_ERROR_FAILED, NULL,
                               "Could not read the answer of vgpud (vgpud and vgpuctl may have different versions): %s",
                               strerror(-r));
}

sd_bus_message *client_call_new(Client *c, const char *path, const char *interface, const char *member,
                                int *status)
{
        sd_bus_message *m;
        int r;

        r = sd_bus_message_new_method_call(c->bus, &m, VGPUD_BUS_NAME, path, interface, member);
        if (r >= 0 && c->args->ask_password)
                r = sd_bus_message_set_allow_interactive_authorization(m, true);
        if (r >= 0 && c->quiet)
                r = sd_bus_message_set_auto_start(m, false);
        if (r < 0) {
                *status = client_not_sent(c, r);
                return NULL;
        }

        return m;
}

int client_options_begin(sd_bus_message *m)
{
        int r;

        r = sd_bus_message_open_container(m, 'a', "{sv}");

        return r < 0 ? r : sd_bus_message_append(m, "{sv}", "error_details", "b", true);
}

int client_options_end(sd_bus_message *m)
{
        return sd_bus_message_close_container(m);
}

int client_append_word(sd_bus_message *m, const char *word)
{
        int r = sd_bus_message_append_basic(m, 's', word);

        if (r >= 0)
                r = client_options_begin(m);

        return r < 0 ? r : client_options_end(m);
}

sd_bus_message *client_call_new_plain(Client *c, const char *path, const char *interface, const char *member,
                                      int *status)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m =
                        client_call_new(c, path, interface, member, status);
        int r;

        if (!m)
                return NULL;

        r = client_options_begin(m);
        if (r >= 0)
                r = client_options_end(m);
        if (r < 0) {
                *status = client_not_sent(c, r);
                return NULL;
        }

        return g_steal_pointer(&m);
}

static int client_on_answer(sd_bus_message *answer, void *userdata, sd_bus_error *ret_error)
{
        *(sd_bus_message **)userdata = sd_bus_message_ref(answer);
        return 1;
}

/* Replaces sd_bus_call(), which keeps only the message of an error and drops the details. */
bool client_call(Client *c, sd_bus_message *m, sd_bus_message **ret, ErrorInfo *error)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *answer = NULL;

        g_assert(!error->name);

        sd_bus_slot *slot;
        int r;

        r = sd_bus_call_async(c->bus, &slot, m, client_on_answer, &answer,
                              c->quiet ? QUIET_ANSWER_USEC : UINT64_MAX);
        if (r >= 0) {
                while (!answer && (r = sd_bus_process(c->bus, NULL)) >= 0)
                        if (r == 0 && (r = sd_bus_wait(c->bus, UINT64_MAX)) < 0 && r != -EINTR)
                                break;

                sd_bus_slot_unref(slot);
        }

        if (!answer) {
                call_error_set_errno(error, r < 0 ? r : -EIO);
                return false;
        }

        if (sd_bus_message_is_method_error(answer, NULL)) {
                call_error_read(error, answer);
                return false;
        }

        if (ret)
                *ret = g_steal_pointer(&answer);

        return true;
}

void client_learn_daemon(Client *c, sd_bus_message *answer)
{
        const char *sender = sd_bus_message_get_sender(answer);

        if (g_strcmp0(c->daemon, sender) == 0)
                return;

        g_free(c->daemon);
        c->daemon = g_strdup(sender);
}

bool client_is_from_daemon(const Client *c, sd_bus_message *signal)
{
        return c->daemon && g_strcmp0(c->daemon, sd_bus_message_get_sender(signal)) == 0;
}

bool client_is_from_other_daemon(const Client *c, sd_bus_message *answer)
{
        if (sd_bus_message_is_method_error(answer, SD_BUS_ERROR_SERVICE_UNKNOWN) > 0 ||
            sd_bus_message_is_method_error(answer, SD_BUS_ERROR_NAME_HAS_NO_OWNER) > 0)
                return true;

        return !sd_bus_message_is_method_error(answer, NULL) && c->daemon && !client_is_from_daemon(c, answer);
}

bool client_is_from_bus(sd_bus_message *signal)
{
        return g_strcmp0(sd_bus_message_get_sender(signal), "org.freedesktop.DBus") == 0;
}

int client_failed(const Client *c, const ErrorInfo *said, const char *object, const char *asked)
{
        _cleanup_error_info_ ErrorInfo e = { 0 };

        g_assert(said->name);

        if (c->quiet)
                return EXIT_FAILURE;

        call_error_explain(&e, c->args, said, asked);

        return error_info_print(c->args, &e, object);
}

/* libsystemd sends messages from the end of the authentication on, but sd_bus_is_ready() becomes true only
 * after the answer to Hello. So check too that Hello and all calls are still in the queue. */
bool client_has_sent_nothing(const Client *c, size_t n_calls)
{
        uint64_t n_queued = 0;

        return sd_bus_is_open(c->bus) > 0 && sd_bus_is_ready(c->bus) <= 0 &&
               sd_bus_get_n_queued_write(c->bus, &n_queued) >= 0 && n_queued > n_calls;
}

bool client_is_lost(int r)
{
        return r == -ENOTCONN || r == -ECONNRESET || r == -EPIPE;
}

int client_failed_lost(const Client *c, int r)
{
        _cleanup_error_info_ ErrorInfo lost = { 0 };

        call_error_set_errno(&lost, r);

        return client_failed(c, &lost, NULL, CLIENT_ASKED);
}

/* Read a property of texts. Without texts, libsystemd sets *ret to NULL. */
static int client_read_texts(Client *c, const char *property, char ***ret)
{
        return sd_bus_get_property_strv(c->bus, VGPUD_BUS_NAME, VGPUD_PATH_ROOT, VGPUD_INTERFACE_MANAGER,
                                        property, NULL, ret);
}

int client_read_store_errors(Client *c, char ***ret)
{
        return client_read_texts(c, "StoreErrors", ret);
}

/* If the property cannot be read, print nothing: an older daemon lacks it, and an earlier call has reported a
 * lost connection. */
static void client_remark_texts(Client *c, const char *property, const char *title)
{
        g_auto(GStrv) texts = NULL;

        if (client_read_texts(c, property, &texts) < 0 || !texts || !texts[0])
                return;

        remark(c->args, "%s", title);
        for (char **t = texts; *t; t++)
                remark(c->args, "  %s", *t);
}

void client_remark_config(Client *c)
{
        if (!remarks_wanted(c->args))
                return;

        client_remark_texts(c, "ConfigErrors", "vgpud.conf has mistakes, so its rules may not hold:");
        client_remark_texts(c, "ConfigUnmatched",
                            "Sections of vgpud.conf match no GPU, so their rules have no effect:");
        client_remark_texts(c, "StoreErrors", "Files of definitions or kept settings need a correction:");
}
