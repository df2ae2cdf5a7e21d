/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* list */

#include <stdio.h>

#include "cli/client/lookup.h"
#include "cli/host/objects-json.h"
#include "cli/host/report.h"
#include "cli/output/errors.h"
#include "cli/output/terminal.h"
#include "cli/verbs/verbs.h"

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
        if (status == 0)
                status = lookup_instances(&c, h, only ? only->path : NULL, detail);
        if (status != 0)
                return status;

        if (a->json)
                return print_objects_json("instances", h, OBJECT_INSTANCE);

        if (a->quiet) {
                for (unsigned i = 0; i < host_n(h, OBJECT_INSTANCE); i++)
                        print_name(host_instance(h, i)->uuid);
                return 0;
        }

        if (print_instances(a, h, NULL, 0) == 0)
                remark(a, "There are no instances%s%s. \"vgpuctl types\" lists the types that can be made.",
                       only ? " on " : "", only ? only->name : "");

        return 0;
}

const VerbInfo verb_list = {
        .name = "list",
        .words = "[GPU]",
        .most_words = 1,
        .run = list_run,
        .text = "List the instances",
};
