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

static int list_print_json(const Arguments *a, const Host *h)
{
        Json j = json_new(false);

        json_object(&j, NULL);
        json_objects(&j, "instances", h, OBJECT_INSTANCE);
        if (a->all)
                json_objects(&j, "definitions", h, OBJECT_DEFINITION);
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

                /* A foreign instance has printed the UUID. */
                if (definition_is_listed(h, d) && !host_find_instance(h, d->uuid))
                        print_name(d->uuid);
        }
}

static int list_run(const Arguments *a)
{
        _cleanup_host_ Host *h = host_new();
        _cleanup_client_ Client c = { 0 };
        const LookupDetail detail = a->json ? LOOKUP_ALL : a->quiet ? LOOKUP_NAMES : LOOKUP_TABLE;
        GpuInfo *only = NULL;
        int status;

        g_assert(a->n_words <= 1);

        status = client_open(&c, a);
        if (status == 0 && a->n_words > 0)
                status = lookup_gpu(&c, h, a->words[0], &only);
        /* First the definitions: if one is started meanwhile, its instance is listed. */
        if (status == 0 && a->all)
                status = lookup_definitions(&c, h, only ? only->name : NULL, detail);
        if (status == 0)
                status = lookup_instances(&c, h, only ? only->path : NULL, detail);
        if (status != 0)
                return status;

        if (a->json)
                return list_print_json(a, h);

        if (a->quiet) {
                list_print_names(h);
                return 0;
        }

        if (print_instances(a, h, NULL, a->all ? PRINT_DEFINED : 0) == 0)
                remark(a, "There are no instances%s%s%s. \"vgpuctl types\" lists the types that can be made.",
                       a->all ? " and no definitions" : "", only ? " on " : "", only ? only->name : "");
        if (a->all)
                client_remark_store(&c);

        return 0;
}

const VerbInfo verb_list = {
        .name = "list",
        .words = "[GPU]",
        .most_words = 1,
        .options = OPTION_ALL,
        .run = list_run,
        .text = "List the instances; with --all, also the other definitions",
};
