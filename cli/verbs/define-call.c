/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "cli/verbs/define-call.h"

#include <stdio.h>

#include "base/uuid.h"
#include "cli/client/call-error.h"
#include "cli/client/lookup.h"
#include "cli/client/wait.h"
#include "cli/output/format.h"
#include "cli/output/json.h"
#include "cli/output/terminal.h"
#include "cli/verbs/call-options.h"
#include "cli/verbs/targets.h"
#include "dbus/bus-names.h"

int define_check_options(const Arguments *a)
{
        if (a->gpu && *a->gpu && a->pool && *a->pool)
                return fail_usage(a, "--pool does not go with --gpu");
        if ((a->given & OPTION_ATTR) && (a->given & OPTION_NO_ATTRS))
                return fail_usage(a, "--attr does not go with --no-attrs");

        return 0;
}

/* Append the a{sv}. `gpu`: the name of the GPU of --gpu, "" or NULL. */
static int define_append_options(sd_bus_message *m, const Arguments *a, const char *gpu, const char *type)
{
        char uuid[UUID_STRLEN + 1];
        const struct {
                const char *key, *text;
        } texts[] = {
                { "type", type },        { "gpu", gpu },      { "pool", a->pool },
                { "parent", a->parent }, { "name", a->name }, { "uuid", a->uuid ? uuid : NULL },
        };
        int r;

        if (a->uuid)
                assert_se(uuid_normalize(a->uuid, uuid) >= 0); /* arguments.c refuses other texts */

        r = client_options_begin(m);
        for (size_t i = 0; r >= 0 && i < G_N_ELEMENTS(texts); i++)
                if (texts[i].text)
                        r = sd_bus_message_append(m, "{sv}", texts[i].key, "s", texts[i].text);
        if (r >= 0 && (a->given & OPTION_AUTOSTART))
                r = sd_bus_message_append(m, "{sv}", "autostart", "b", a->autostart);
        if (r >= 0)
                r = append_attributes(m, a);

        return r < 0 ? r : client_options_end(m);
}

/* Find the name of the GPU of --gpu. *ret is NULL without the option, and "" if its value is empty. */
static int define_find_gpu(Client *c, char **ret)
{
        const Arguments *a = c->args;
        _cleanup_host_ Host *h = host_new();

        *ret = NULL;

        if (!a->gpu || !*a->gpu) {
                *ret = g_strdup(a->gpu);
                return 0;
        }

        return lookup_gpu_name(c, h, a->gpu, ret);
}

int define_call_new(Client *c, const char *member, const char *subject, const char *type, sd_bus_message **ret)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        g_autofree char *gpu = NULL;
        int r, status;

        status = define_find_gpu(c, &gpu);
        if (status != 0)
                return status;

        m = client_call_new(c, VGPUD_PATH_ROOT, VGPUD_INTERFACE_MANAGER, member, &status);
        if (!m)
                return status;

        r = sd_bus_message_append(m, "s", subject);
        if (r >= 0)
                r = define_append_options(m, c->args, gpu, type);
        if (r < 0)
                return client_not_sent(c, r);

        *ret = g_steal_pointer(&m);

        return 0;
}

static int define_print(Client *c, const char *uuid, bool is_new)
{
        if (c->args->json) {
                Json j = json_new(false);

                json_object(&j, NULL);
                json_string(&j, "uuid", uuid);
                json_object_end(&j);
                json_print(&j, stdout);
        } else if (is_new)
                print_name(uuid);

        /* The definition exists, even if its UUID cannot be written to stdout: name it on stderr. */
        if (is_new && fflush(stdout) != 0) {
                g_autofree char *printable = format_printable(uuid);

                (void)fprintf(stderr, "vgpuctl: Definition %s was added.\n", printable);
        }

        return 0;
}

static int define_answered(Client *c, const Call *call, const char *uuid)
{
        const char *answered = uuid;
        int r = 0;

        g_assert(call->answer);

        if (!uuid)
                r = sd_bus_message_read_basic(call->answer, 's', &answered);

        return r < 0 ? client_unreadable(c, r) : define_print(c, answered, !uuid);
}

/* The beginning of an error message. The name of the definition follows. */
static const char *define_asked(const Arguments *a, const char *uuid)
{
        if (!uuid)
                return "Could not define";

        return a->given & OPTION_AUTOSTART ? "Could not change the autostart of" : "Could not edit";
}

static int define_failed(const Arguments *a, const ErrorInfo *said, const char *word, const char *uuid,
                         const char *from)
{
        g_autofree char *asked = g_strdup_printf("%s %s", define_asked(a, uuid), word);
        _cleanup_error_info_ ErrorInfo e = { 0 };

        call_error_explain(&e, a, said, asked);

        if (from && error_info_code(&e) == VGPUD_ERROR_FOREIGN && !said->hint) {
                g_autofree char *hint = g_strdup_printf(
                                "\"vgpuctl destroy --foreign %s\" removes the instance, if the program that made it does not need it any more",
                                from);

                error_info_set_hint(&e, VGPUD_HINT_USE_FOREIGN, hint);
        } else if (!e.hint)
                explain_attributes(&e, a);

        return error_info_print(a, &e, word);
}

int define_call_run(Client *c, sd_bus_message *m, const char *word, const char *uuid, const char *from)
{
        Call *call = g_new0(Call, 1);
        int status;

        call->message = m;
        call->kind = CALL_NO_JOB;
        call->object = word;

        client_allow_password(c);
        status = calls_run(c, call, 1, NULL, NULL);

        if (status == 0 && call->error.name)
                status = define_failed(c->args, &call->error, word, uuid, from);
        else if (status == 0)
                status = define_answered(c, call, uuid);

        calls_done(call, 1);

        return status;
}

int define_edit(const Arguments *a)
{
        _cleanup_client_ Client c = { 0 };
        _cleanup_targets_ Targets ts = { 0 };
        sd_bus_message *m;
        const Target *t;
        int status;

        g_assert(a->n_words == 1);

        status = targets_open(&ts, &c, a, define_asked(a, ""), "definition");
        if (status == 0)
                status = targets_find_definitions(&ts, 0);
        if (status != 0)
                return status;

        t = &ts.targets[0];
        if (t->error.name)
                return t->error.status;

        status = define_call_new(&c, "Edit", t->uuid, a->type, &m);

        return status != 0 ? status : define_call_run(&c, m, t->word, t->uuid, NULL);
}
