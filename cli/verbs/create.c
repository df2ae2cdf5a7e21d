/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* create */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/uuid.h"
#include "cli/client/client.h"
#include "cli/client/wait.h"
#include "cli/host/host-find.h"
#include "cli/output/errors.h"
#include "cli/output/json.h"
#include "cli/verbs/call-options.h"
#include "cli/verbs/place.h"
#include "cli/verbs/verbs.h"
#include "dbus/bus-names.h"

static int create_append_attributes(sd_bus_message *m, const Arguments *a)
{
        int r;

        if (a->attributes->len == 0)
                return 0;

        r = sd_bus_message_open_container(m, 'e', "sv");
        if (r >= 0)
                r = sd_bus_message_append_basic(m, 's', "attributes");
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'v', "a(ss)");
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "(ss)");
        for (unsigned i = 0; r >= 0 && i < a->attributes->len; i++) {
                const Attribute *attribute = &g_array_index(a->attributes, Attribute, i);

                r = sd_bus_message_append(m, "(ss)", attribute->name, attribute->value);
        }

        for (unsigned i = 0; r >= 0 && i < 3; i++)
                r = sd_bus_message_close_container(m);

        return r;
}

static int create_build(sd_bus_message *m, const Arguments *a, const char *type)
{
        char uuid[UUID_STRLEN + 1];
        int r;

        r = sd_bus_message_append(m, "ss", a->gpu ? a->gpu : "", type);
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "{sv}");
        if (r >= 0 && a->uuid) {
                (void)uuid_normalize(a->uuid, uuid);
                r = append_option(m, "uuid", "s", uuid);
        }

        if (r >= 0 && a->name)
                r = append_option(m, "name", "s", a->name);
        if (r >= 0 && a->parent)
                r = append_option(m, "parent", "s", a->parent);
        if (r >= 0 && a->count > 1)
                r = append_option(m, "count", "u", &a->count);
        if (r >= 0)
                r = append_place_options(m, a);
        if (r >= 0)
                r = create_append_attributes(m, a);

        return r < 0 ? r : append_common_options(m, a);
}

/* The answer of Create: the job, and the UUIDs of the instances. */
static int create_read(sd_bus_message *answer, uint32_t *ret_job, GPtrArray *uuids)
{
        const char *path;
        int r;

        r = sd_bus_message_read(answer, "o", &path);
        if (r < 0)
                return r;

        *ret_job = job_id_from_path(path);
        r = sd_bus_message_enter_container(answer, 'a', "o");
        if (r < 0)
                return r;

        while ((r = sd_bus_message_read_basic(answer, 'o', &path)) > 0) {
                char *uuid = uuid_from_path(path);

                if (!uuid)
                        return -EBADMSG;

                g_ptr_array_add(uuids, uuid);
        }

        return r < 0 ? r : sd_bus_message_exit_container(answer);
}

static int create_answered(const Arguments *a, sd_bus_message *answer)
{
        g_autoptr(GPtrArray) uuids = g_ptr_array_new_with_free_func(g_free);
        uint32_t job;
        int r;

        r = create_read(answer, &job, uuids);
        if (r < 0)
                return fail(a, VGPUD_ERROR_FAILED, NULL, "Could not read the answer of vgpud: %s",
                            strerror(-r));

        if (a->json) {
                Json j = json_new(false);

                json_object(&j, NULL);
                json_u64(&j, "job", job);
                json_string(&j, "result", a->block ? "done" : "queued");
                json_array(&j, "instances");

                for (unsigned i = 0; i < uuids->len; i++)
                        json_string(&j, NULL, uuids->pdata[i]);
                json_array_end(&j);
                json_object_end(&j);
                json_print(&j, stdout);
        } else if (a->block)
                for (unsigned i = 0; i < uuids->len; i++)
                        (void)puts(uuids->pdata[i]);
        else
                (void)printf("%" G_GUINT32_FORMAT "\n", job);

        /* Whoever cannot be told where it should be must not make another because of that. */
        if (fflush(stdout) != 0)
                for (unsigned i = 0; i < uuids->len; i++)
                        (void)fprintf(stderr, "vgpuctl: Instance %s %s.\n", (const char *)uuids->pdata[i],
                                      a->block ? "was created" : "is being created");

        return 0;
}

/* Of an error that may be about any argument. */
static bool create_is_about_attributes(const Arguments *a, const char *message)
{
        for (unsigned i = 0; i < a->attributes->len; i++)
                if (strstr(message, g_array_index(a->attributes, Attribute, i).name))
                        return true;

        return a->attributes->len > 0 && strstr(message, "attribute");
}

int verb_create(const Arguments *a)
{
        _cleanup_client_ Client c = { 0 };
        const char *type = a->n_words > 0 ? a->words[0] : a->type;
        g_autofree char *asked = NULL;
        Call *call;
        int r, status;

        if (!type || !*type)
                return fail_usage(a, "create needs a type; \"vgpuctl types\" lists them");

        if (a->n_words > 0 && a->type && strcmp(a->type, type) != 0)
                return fail_usage(a, "create makes one type at a time, not \"%s\" and \"%s\"", type, a->type);
        if (a->count > 1 && (a->uuid || a->name))
                return fail_usage(a, "--count does not go with --%s: it stands for one instance",
                                  a->uuid ? "uuid" : "name");

        status = client_open(&c, a);
        if (status != 0)
                return status;

        call = g_new0(Call, 1);
        call->object = type;
        call->message = client_call_new(&c, VGPUD_PATH_ROOT, VGPUD_INTERFACE_MANAGER, "Create", &status);

        r = call->message ? create_build(call->message, a, type) : 0;
        if (r < 0)
                status = not_sent(a, r);
        if (status == 0) {
                client_allow_password(&c);
                status = calls_run(&c, call, 1, NULL, NULL);
        }

        if (status == 0 && call_succeeded(call))
                status = create_answered(a, call->answer);
        else if (status == 0) {
                asked = a->gpu ? g_strdup_printf("Could not create %s on %s", type, a->gpu)
                               : g_strdup_printf("Could not create %s", type);
                _cleanup_failure_ Failure f = failure_from_error(&c, &call->error, asked);

                if (!f.hint && create_is_about_attributes(a, f.message) &&
                    strcmp(f.name, vgpud_error_code_to_dbus(VGPUD_ERROR_INVALID)) == 0)
                        f.hint = "\"vgpuctl types --why\" lists the options of each type";

                status = fail_named(a, f.name, f.status, type, f.hint, f.message);
        }

        calls_done(call, 1);

        return status;
}
