/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* create */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/uuid.h"
#include "cli/client/call-error.h"
#include "cli/client/lookup.h"
#include "cli/client/wait.h"
#include "cli/host/values.h"
#include "cli/output/errors.h"
#include "cli/output/json.h"
#include "cli/output/format.h"
#include "cli/output/terminal.h"
#include "cli/verbs/call-options.h"
#include "cli/verbs/near.h"
#include "cli/verbs/verbs.h"
#include "dbus/bus-names.h"

/* ---- the call ---- */

static int create_build(sd_bus_message *m, const Arguments *a, const char *gpu, const char *type,
                        const char *near)
{
        char uuid[UUID_STRLEN + 1];
        int r;

        g_assert(a->count == 1 || (!a->uuid && !a->name));

        r = sd_bus_message_append(m, "ss", gpu, type);
        if (r >= 0)
                r = client_options_begin(m);
        if (r >= 0 && a->uuid) {
                assert_se(uuid_normalize(a->uuid, uuid) >= 0); /* arguments.c refuses other texts */
                r = sd_bus_message_append(m, "{sv}", "uuid", "s", uuid);
        }

        if (r >= 0 && a->name)
                r = sd_bus_message_append(m, "{sv}", "name", "s", a->name);
        if (r >= 0 && a->parent)
                r = sd_bus_message_append(m, "{sv}", "parent", "s", a->parent);
        if (r >= 0 && a->count > 1)
                r = sd_bus_message_append(m, "{sv}", "count", "u", a->count);
        if (r >= 0 && a->keep)
                r = sd_bus_message_append(m, "{sv}", "keep", "b", true);
        if (r >= 0 && a->autostart)
                r = sd_bus_message_append(m, "{sv}", "autostart", "b", true);
        if (r >= 0)
                r = append_place_options(m, a, near);
        if (r >= 0)
                r = append_attributes(m, a);

        return r < 0 ? r : client_options_end(m);
}

/* ---- the answer ---- */

typedef struct Created {
        char *path;
        char *uuid;
        char *gpu; /* path */
        char *type;
} Created;

static void created_free(void *p)
{
        Created *c = p;

        g_free(c->path);
        g_free(c->uuid);
        g_free(c->gpu);
        g_free(c->type);
        g_free(c);
}

static int created_read_entry(sd_bus_message *m, const char *key, void *userdata)
{
        Created *c = userdata;
        const TextEntry texts[] = { { "uuid", &c->uuid }, { "type", &c->type }, { NULL } };
        char **path = strcmp(key, "object_path") == 0 ? &c->path : strcmp(key, "gpu") == 0 ? &c->gpu : NULL;
        int r;

        if (!path)
                return value_read_texts(m, key, texts);

        r = value_enter(m, "o");
        if (r <= 0)
                return r;

        r = value_read_string(m, 'o', path);

        return r < 0 ? r : sd_bus_message_exit_container(m);
}

static int create_read(sd_bus_message *answer, GPtrArray *created)
{
        int r;

        r = sd_bus_message_skip(answer, "o");
        if (r >= 0)
                r = sd_bus_message_enter_container(answer, 'a', "a{sv}");
        while (r >= 0 && (r = sd_bus_message_at_end(answer, false)) == 0) {
                Created *c = g_new0(Created, 1);

                g_ptr_array_add(created, c);

                r = value_read_dictionary(answer, created_read_entry, c);
                if (r >= 0 && (!c->path || !c->uuid))
                        return -EBADMSG;
        }

        return r < 0 ? r : sd_bus_message_exit_container(answer);
}

/* Parent and hand-over are null with --no-block, or if another program has removed the instance. */
static void create_json_instance(Client *c, Json *j, const Created *created)
{
        g_autofree char *gpu = gpu_name_from_path(created->gpu ? created->gpu : "");
        _cleanup_hand_over_ HandOver hand_over = HAND_OVER_INIT;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        g_autofree char *parent = NULL;
        bool there = c->args->block;

        c->quiet = true;
        there = there &&
                sd_bus_get_property_string(c->bus, VGPUD_BUS_NAME, created->path, VGPUD_INTERFACE_INSTANCE,
                                           "Parent", &error, &parent) >= 0 &&
                lookup_hand_over(c, created->path, &hand_over) == 0;
        c->quiet = false;

        json_object(j, NULL);
        json_string(j, "object_path", created->path);
        json_string(j, "uuid", created->uuid);
        json_string(j, "gpu", *gpu ? gpu : NULL);
        json_string(j, "type", created->type);
        json_string(j, "parent", there && *parent ? parent : NULL);

        if (there)
                json_hand_over(j, "hand_over", &hand_over);
        else
                json_null(j, "hand_over");

        json_object_end(j);
}

static void create_print_json(Client *c, uint32_t job, const GPtrArray *created)
{
        Json j = json_new(false);

        json_object(&j, NULL);
        json_u64(&j, "job", job);
        json_string(&j, "result", c->args->block ? "done" : "queued");
        json_array(&j, "instances");

        for (unsigned i = 0; i < created->len; i++)
                create_json_instance(c, &j, created->pdata[i]);
        json_array_end(&j);
        json_object_end(&j);
        json_print(&j, stdout);
}

static int create_answered(Client *c, const Call *call)
{
        g_autoptr(GPtrArray) created = g_ptr_array_new_with_free_func(created_free);
        const Arguments *a = c->args;
        int r;

        g_assert(call->answer);

        r = create_read(call->answer, created);
        if (r < 0)
                return client_unreadable(c, r);

        if (a->json)
                create_print_json(c, call_job_id(call), created);
        else if (a->block)
                for (unsigned i = 0; i < created->len; i++)
                        print_name(((const Created *)created->pdata[i])->uuid);
        else
                (void)printf("%" G_GUINT32_FORMAT "\n", call_job_id(call));

        /* Print the UUIDs to stderr if stdout fails: a caller that cannot read the result might create another
         * instance. */
        if (fflush(stdout) != 0)
                for (unsigned i = 0; i < created->len; i++) {
                        g_autofree char *uuid = format_printable(((const Created *)created->pdata[i])->uuid);

                        (void)fprintf(stderr, "vgpuctl: Instance %s %s.\n", uuid,
                                      a->block ? "was created" : "is being created");
                }

        return 0;
}

static int create_failed(const Arguments *a, const Call *call, const char *type)
{
        g_autofree char *asked = a->gpu ? g_strdup_printf("Could not create %s on %s", type, a->gpu)
                                        : g_strdup_printf("Could not create %s", type);
        _cleanup_error_info_ ErrorInfo e = { 0 };

        call_error_explain(&e, a, &call->error, asked);
        if (!e.hint && a->attributes->len > 0)
                explain_attributes(&e, a);

        return error_info_print(a, &e, type);
}

/* ---- the verb ---- */

static int create_check(const Arguments *a, const char *type)
{
        if (!type || !*type)
                return fail_usage(a, "create needs a type; \"vgpuctl types\" lists them");

        if (a->n_words > 0 && a->type && strcmp(a->type, type) != 0)
                return fail_usage(a, "create takes one type at a time, not \"%s\" and \"%s\"", type, a->type);
        if (a->count > 1 && (a->uuid || a->name))
                return fail_usage(a, "--count does not go with --%s, which is for one instance",
                                  a->uuid ? "uuid" : "name");
        if (a->autostart && !a->keep)
                return fail_usage(a, "--autostart needs --keep, which makes the definitions");

        return 0;
}

static int create_send(Client *c, const char *gpu, const char *type, const char *near)
{
        Call *call = g_new0(Call, 1);
        int r, status = 0;

        call->object = type;
        call->message = client_call_new(c, VGPUD_PATH_ROOT, VGPUD_INTERFACE_MANAGER, "Create", &status);

        r = call->message ? create_build(call->message, c->args, gpu, type, near) : 0;
        if (r < 0)
                status = client_not_sent(c, r);
        if (status == 0) {
                client_allow_password(c);
                status = calls_run(c, call, 1, NULL, NULL);
        }

        if (status == 0 && call_succeeded(call))
                status = create_answered(c, call);
        else if (status == 0)
                status = create_failed(c->args, call, type);

        calls_done(call, 1);

        return status;
}

static int create_run(const Arguments *a)
{
        const char *type = a->n_words > 0 ? a->words[0] : a->type;
        _cleanup_client_ Client c = { 0 };
        _cleanup_host_ Host *h = host_new();
        g_autofree char *near = NULL;
        GpuInfo *gpu = NULL;
        int status;

        g_assert(a->n_words <= 1);

        status = create_check(a, type);
        if (status == 0)
                status = client_open(&c, a);
        if (status == 0 && a->gpu)
                status = lookup_gpu(&c, h, a->gpu, &gpu);
        if (status == 0)
                status = near_resolve(&c, h, &near);

        return status != 0 ? status : create_send(&c, gpu ? gpu->name : "", type, near);
}

const VerbInfo verb_create = {
        .name = "create",
        .words = "TYPE",
        .most_words = 1,
        .options = OPTION_TYPE | OPTION_GPU | OPTION_UUID | OPTION_NAME | OPTION_PARENT | OPTION_COUNT |
                   OPTION_ATTR | OPTION_KEEP | OPTION_AUTOSTART | OPTION_TIMEOUT | OPTION_NO_BLOCK |
                   PLACE_OPTIONS,
        .run = create_run,
        .text = "Create instances; print their UUIDs, or with --no-block the job number",
};
