/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* list */

#include <stdio.h>

#include "cli/client/lookup-definitions.h"
#include "cli/host/objects-json.h"
#include "cli/host/report.h"
#include "cli/output/errors.h"
#include "cli/output/json.h"
#include "cli/output/terminal.h"
#include "cli/verbs/verbs.h"

static void list_json_store_errors(Client *c, Json *j)
{
        g_auto(GStrv) texts = NULL;

        if (client_read_store_errors(c, &texts) < 0) {
                json_null(j, "store_errors");
                return;
        }

        json_array(j, "store_errors");
        for (char **t = texts; t && *t; t++)
                json_string(j, NULL, *t);
        json_array_end(j);
}

/* Scripts and cron jobs run `list --all`, too: the warning needs no terminal. */
static void list_warn_store(Client *c)
{
        g_auto(GStrv) texts = NULL;

        if (client_read_store_errors(c, &texts) < 0 || !texts || !texts[0])
                return;

        warn(c->args, "Files of definitions or kept settings need a correction:");
        for (char **t = texts; *t; t++)
                warn(c->args, "  %s", *t);
}

static int list_print_json(Client *c, const Host *h)
{
        const Arguments *a = c->args;
        Json j = json_new(false);

        json_object(&j, NULL);
        json_objects(&j, "instances", h, OBJECT_INSTANCE);
        if (a->all) {
                json_objects(&j, "definitions", h, OBJECT_DEFINITION);
                list_json_store_errors(c, &j);
                lookup_json_missing(c, &j);
        }

        json_object_end(&j);
        json_print(&j, stdout);

        return 0;
}

static void list_print_names(const Host *h)
{
        for (unsigned i = 0; i < host_n(h, OBJECT_INSTANCE); i++)
                print_name(host_instance(h, i)->uuid);

        for (unsigned i = 0; i < host_n(h, OBJECT_DEFINITION); i++) {
                const DefinitionInfo *d = host_definition(h, i);

                /* If an instance has the UUID of the definition, the loop above has printed the UUID. */
                if (definition_is_listed(h, d) && !host_find_instance(h, d->uuid))
                        print_name(d->uuid);
        }
}

static int list_look_up(Client *c, Host *h, LookupDetail detail, char **ret_gpu)
{
        const Arguments *a = c->args;
        const char *word = a->n_words > 0 ? a->words[0] : NULL;
        g_autofree char *path = NULL;
        GpuInfo *only = NULL;
        int status = 0;

        if (word && a->all)
                status = lookup_gpu_name(c, h, word, ret_gpu);
        else if (word) {
                status = lookup_gpu(c, h, word, &only);
                *ret_gpu = only ? g_strdup(only->name) : NULL;
        }

        path = *ret_gpu ? gpu_path_from_name(*ret_gpu) : NULL;

        /* Read the definitions first: if a definition is started meanwhile, its instance is listed. */
        if (status == 0 && a->all)
                status = lookup_definitions(c, h, *ret_gpu, detail);
        if (status != 0)
                return status;

        /* A definition may name a GPU that is missing now. lookup_more_instances() then succeeds, without
         * instances; lookup_instances() would fail. */
        if (path && host_n(h, OBJECT_DEFINITION) > 0) {
                status = lookup_more_instances(c, h, path, detail);
                host_sort(h);
                return status;
        }

        return lookup_instances(c, h, path, detail);
}

static int list_run(const Arguments *a)
{
        _cleanup_host_ Host *h = host_new();
        _cleanup_client_ Client c = { 0 };
        const LookupDetail detail = a->json ? LOOKUP_ALL : a->quiet ? LOOKUP_NAMES : LOOKUP_TABLE;
        g_autofree char *gpu = NULL;
        int status;

        g_assert(a->n_words <= 1);

        status = client_open(&c, a);
        if (status == 0)
                status = list_look_up(&c, h, detail, &gpu);
        if (status != 0)
                return status;

        if (a->json)
                return list_print_json(&c, h);

        if (a->quiet) {
                list_print_names(h);
                return 0;
        }

        if (print_instances(a, h, NULL, a->all ? PRINT_DEFINED : 0) == 0)
                remark(a, "There are no instances%s%s%s. \"vgpuctl types\" lists the types that can be made.",
                       a->all ? " and no definitions" : "", gpu ? " on " : "", gpu ? gpu : "");
        if (a->all) {
                lookup_warn_missing(&c);
                list_warn_store(&c);
        }

        return 0;
}

const VerbInfo verb_list = {
        .name = "list",
        .words = "[GPU]",
        .most_words = 1,
        .options = OPTION_ALL,
        .run = list_run,
        .text = "List the instances; with --all, also the definitions that are not active",
};
