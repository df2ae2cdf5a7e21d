/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* types */

#include <stdio.h>

#include "cli/client/lookup.h"
#include "cli/host/objects-json.h"
#include "cli/host/report.h"
#include "cli/host/type-table.h"
#include "cli/output/errors.h"
#include "cli/output/json.h"
#include "cli/output/terminal.h"
#include "cli/verbs/verbs.h"

/* Print each id only once, because GPUs of one model offer the same types. */
static void types_print_ids(const Host *h)
{
        g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);

        for (unsigned i = 0; i < host_n(h, OBJECT_GPU); i++)
                for (unsigned n = 0; n < host_gpu(h, i)->types->len; n++)
                        if (g_hash_table_add(seen, gpu_type(host_gpu(h, i), n)->id))
                                print_name(gpu_type(host_gpu(h, i), n)->id);
}

static void types_print_json(const Host *h)
{
        Json j = json_new(false);

        json_object(&j, NULL);
        json_all_types(&j, "types", h);
        json_object_end(&j);
        json_print(&j, stdout);
}

static bool types_are_stale(const Host *h)
{
        for (unsigned i = 0; i < host_n(h, OBJECT_GPU); i++)
                if (host_gpu(h, i)->stale && host_gpu(h, i)->types->len > 0)
                        return true;

        return false;
}

/* Only ListGpus reports why a GPU offers nothing or has stale numbers. If the command line names no GPU, the
 * output has these reasons only with --why, or if some numbers are stale. Call ListGpus only then. */
static int types_lookup(Client *c, Host *h, GpuInfo **ret_only)
{
        const Arguments *a = c->args;
        int status = 0;

        if (a->n_words > 0) {
                status = lookup_gpu_listed(c, h, a->words[0], ret_only);
                return status != 0 ? status : lookup_gpu_types(c, h, (*ret_only)->path);
        }

        if (a->why && !a->json && !a->quiet)
                status = lookup_gpus(c, h);
        if (status == 0)
                status = lookup_types(c, h);
        if (status != 0 || a->why || a->json || a->quiet || !types_are_stale(h))
                return status;

        status = lookup_gpus(c, h);

        return status != 0 ? status : lookup_types(c, h);
}

static int types_run(const Arguments *a)
{
        _cleanup_host_ Host *h = host_new();
        _cleanup_client_ Client c = { 0 };
        GpuInfo *only = NULL;
        int status;

        g_assert(a->n_words <= 1);

        status = client_open(&c, a);
        if (status == 0)
                status = types_lookup(&c, h, &only);
        if (status != 0)
                return status;

        if (a->json) {
                types_print_json(h);
                return 0;
        }

        if (a->quiet) {
                types_print_ids(h);
                return 0;
        }

        if ((a->why ? print_types_why(h, only) : print_types(a, h, only, 0)) > 0)
                return 0;

        if (!only)
                remark(a, "No GPU of this host offers types.");
        else if (*only->reason)
                remark(a, "%s offers no types: %s.", only->name, only->reason);
        else
                remark(a, "%s offers no types.", only->name);

        return 0;
}

const VerbInfo verb_types = {
        .name = "types",
        .words = "[GPU]",
        .most_words = 1,
        .options = OPTION_WHY,
        .run = types_run,
        .text = "List the types, and how many of each can be created",
};
