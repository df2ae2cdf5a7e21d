/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "cli/client/client.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/output/errors.h"
#include "cli/host/host-find.h"
#include "dbus/bus-names.h"

int client_open(Client *c, const Arguments *args)
{
        int r;

        *c = (Client){ .args = args };
        agent_init(&c->agent);

        r = args->host ? ssh_open(&c->ssh, args->host, true, &c->bus) : sd_bus_open_system(&c->bus);
        if (r >= 0)
                return 0;

        if (args->host) {
                g_autofree char *message = g_strdup_printf("Could not start a connection to %s: %s", args->host,
                                                           strerror(-r));

                return fail_named(args, SD_BUS_ERROR_NO_SERVER, EXIT_FAILURE, NULL,
                                  "look whether \"ssh HOST true\" works", message);
        } else {
                g_autofree char *message =
                                g_strdup_printf("Could not connect to the system bus: %s", strerror(-r));
                bool denied = r == -EACCES || r == -EPERM;

                return fail_named(args, denied ? SD_BUS_ERROR_ACCESS_DENIED : SD_BUS_ERROR_NO_SERVER,
                                  denied ? vgpud_error_code_to_exit_status(VGPUD_ERROR_NOT_AUTHORIZED)
                                         : EXIT_FAILURE,
                                  NULL, "look whether the bus runs: systemctl status dbus", message);
        }
}

void client_close(Client *c)
{
        agent_close(&c->agent);
        /* Nothing is flushed: what has not been sent is what nobody waits for any more. */
        c->bus = sd_bus_close_unref(c->bus);
        ssh_close(&c->ssh);
}

void client_allow_password(Client *c)
{
        if (c->args->ask_password && !c->args->host)
                agent_open(&c->agent);
}

sd_bus_message *client_call_new(Client *c, const char *path, const char *interface, const char *member,
                                int *status)
{
        sd_bus_message *m;
        int r;

        r = sd_bus_message_new_method_call(c->bus, &m, VGPUD_BUS_NAME, path, interface, member);
        if (r >= 0 && c->args->ask_password)
                r = sd_bus_message_set_allow_interactive_authorization(m, true);
        if (r < 0) {
                *status = fail(c->args, VGPUD_ERROR_FAILED, NULL, "Could not make a call: %s", strerror(-r));
                return NULL;
        }

        return m;
}

/* `options`: whether the call takes an empty dictionary of them. */
static int get_host(Client *c, const char *interface, const char *member, bool options,
                    int (*reader)(Host *h, sd_bus_message *answer), Host **ret)
{
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *answer = NULL;
        _cleanup_host_ Host *h = host_new();
        int r;

        r = sd_bus_call_method(c->bus, VGPUD_BUS_NAME, VGPUD_PATH_ROOT, interface, member, &error, &answer,
                               options ? "a{sv}" : NULL, 0);
        if (r < 0) {
                if (!sd_bus_error_is_set(&error))
                        (void)sd_bus_error_set_errno(&error, r);
                return client_failed(c, &error, NULL, "Could not ask vgpud");
        }

        r = reader(h, answer);
        if (r < 0)
                return fail(c->args, VGPUD_ERROR_FAILED, NULL,
                            "Could not read the answer of vgpud (is it of another version?): %s", strerror(-r));

        *ret = g_steal_pointer(&h);

        return 0;
}

int client_get_host(Client *c, Host **ret)
{
        return get_host(c, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects", false, host_read, ret);
}

int client_get_instances(Client *c, Host **ret)
{
        return get_host(c, VGPUD_INTERFACE_MANAGER, "ListInstances", true, host_read_instances, ret);
}

static bool is_stale(Client *c, const GpuInfo *g)
{
        g_autofree char *encoded = NULL;
        int stale = false;

        /* From malloc, as g_free() takes it. A GPU that has gone meanwhile has no answer. */
        return sd_bus_path_encode(VGPUD_PATH_GPU, g->name, &encoded) >= 0 &&
               sd_bus_get_property_trivial(c->bus, VGPUD_BUS_NAME, encoded, VGPUD_INTERFACE_GPU, "Stale", NULL,
                                           'b', &stale) >= 0 &&
               stale;
}

int client_get_types(Client *c, Host **ret)
{
        int status = get_host(c, VGPUD_INTERFACE_MANAGER, "ListTypes", true, host_read_types, ret);

        if (status != 0 || c->args->quiet)
                return status;

        /* The list has no place for it; asking each GPU costs less than all that GetManagedObjects tells. */
        for (unsigned i = 0; i < host_n(*ret, OBJECT_GPU); i++)
                if (is_stale(c, host_gpu(*ret, i))) {
                        *ret = host_free(*ret);
                        return client_get_host(c, ret);
                }

        return 0;
}

static bool is_one_of(const char *name, const char *const *list)
{
        for (; *list; list++)
                if (g_str_has_prefix(name, *list))
                        return true;

        return false;
}

Failure failure_from_error(const Client *c, const sd_bus_error *error, const char *asked)
{
        /* Names of errors that nobody of ours makes: of the bus, and of systemd when it starts services for the
         * bus. */
        static const char *const absent[] = { SD_BUS_ERROR_SERVICE_UNKNOWN, SD_BUS_ERROR_NAME_HAS_NO_OWNER,
                                              "org.freedesktop.DBus.Error.Spawn.", "org.freedesktop.systemd1.",
                                              NULL };
        static const char *const lost[] = {
                SD_BUS_ERROR_NO_REPLY,   SD_BUS_ERROR_DISCONNECTED, SD_BUS_ERROR_TIMEOUT,
                SD_BUS_ERROR_NO_SERVER,  "System.Error.ECONNRESET", "System.Error.EPIPE",
                "System.Error.ENOTCONN", "System.Error.ETIMEDOUT",  NULL
        };
        static const char *const denied[] = {
                SD_BUS_ERROR_ACCESS_DENIED, SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED,
                SD_BUS_ERROR_AUTH_FAILED,   "System.Error.EACCES",
                "System.Error.EPERM",       NULL
        };
        static const char *const other_version[] = { SD_BUS_ERROR_UNKNOWN_METHOD,
                                                     SD_BUS_ERROR_UNKNOWN_INTERFACE,
                                                     SD_BUS_ERROR_INVALID_SIGNATURE, NULL };
        const char *name = error->name ? error->name : SD_BUS_ERROR_FAILED;
        const char *said = error->message && *error->message ? error->message : "no reason was given";
        VgpudErrorCode code = vgpud_error_code_from_dbus(name);
        Failure f = { .name = g_strdup(name), .status = EXIT_FAILURE };

        if (code != VGPUD_ERROR_NONE) {
                f.status = vgpud_error_code_to_exit_status(code);
                f.hint = error_hint(code);
                f.message = g_strdup_printf("%s: %s", asked, said);
        } else if (is_one_of(name, absent)) {
                f.hint = "look whether vgpud is installed and runs: systemctl status vgpud";
                f.message = g_strdup_printf("%s: vgpud does not run, and could not be started (%s)", asked,
                                            said);
        } else if (is_one_of(name, lost) && c->args->host) {
                f.hint = "look whether \"ssh HOST systemd-stdio-bridge\" works, and whether vgpud runs there";
                f.message = g_strdup_printf("%s: no answer from %s (%s)", asked, c->args->host, said);
        } else if (is_one_of(name, lost)) {
                f.hint = "look at \"systemctl status vgpud\", and with \"vgpuctl list\" at what has been done";
                f.message = g_strdup_printf("%s: vgpud went away or did not answer (%s)", asked, said);
        } else if (is_one_of(name, denied)) {
                f.status = vgpud_error_code_to_exit_status(VGPUD_ERROR_NOT_AUTHORIZED);
                f.hint = error_hint(VGPUD_ERROR_NOT_AUTHORIZED);
                f.message = g_strdup_printf("%s: not permitted (%s)", asked, said);
        } else if (is_one_of(name, other_version)) {
                f.hint = "look whether vgpud and vgpuctl are of one version; restart vgpud after an upgrade";
                f.message = g_strdup_printf("%s: vgpud does not know this call (%s)", asked, said);
        } else if (strcmp(name, SD_BUS_ERROR_INVALID_ARGS) == 0) {
                f.status = vgpud_error_code_to_exit_status(VGPUD_ERROR_INVALID);
                f.message = g_strdup_printf("%s: %s", asked, said);
        } else
                f.message = g_strdup_printf("%s: %s", asked, said);

        return f;
}

void client_remark_config(Client *c)
{
        g_auto(GStrv) errors = NULL;

        /* An older daemon does not tell, and what else is wrong somebody else has said. */
        if (!remarks_wanted(c->args) ||
            sd_bus_get_property_strv(c->bus, VGPUD_BUS_NAME, VGPUD_PATH_ROOT, VGPUD_INTERFACE_MANAGER,
                                     "ConfigErrors", NULL, &errors) < 0 ||
            !errors || !errors[0])
                return;

        remark(c->args, "A part of vgpud.conf is ignored, and rules in it do not hold:");
        for (char **e = errors; *e; e++)
                remark(c->args, "  %s", *e);
}

void failure_done(Failure *f)
{
        g_free(f->name);
        g_free(f->message);
        *f = (Failure){ 0 };
}

int client_failed(const Client *c, const sd_bus_error *error, const char *object, const char *asked)
{
        _cleanup_failure_ Failure f = failure_from_error(c, error, asked);

        return fail_named(c->args, f.name, f.status, object, f.hint, f.message);
}

int client_open_host(Client *c, const Arguments *a, Host **ret)
{
        int status = client_open(c, a);

        return status != 0 ? status : client_get_host(c, ret);
}

int client_open_host_and_gpu(Client *c, const Arguments *a, int (*get_table)(Client *c, Host **ret), Host **ret,
                             GpuInfo **ret_gpu)
{
        int status = client_open(c, a);

        if (status != 0)
                return status;

        if (a->n_words == 0 && !a->json)
                return get_table(c, ret);

        status = client_get_host(c, ret);
        if (status == 0 && a->n_words > 0)
                *ret_gpu = host_find_gpu(*ret, a, a->words[0], &status);

        return status;
}
