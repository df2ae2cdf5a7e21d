/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* gpus */

#include <stdio.h>

#include "cli/client/lookup.h"
#include "cli/host/objects-json.h"
#include "cli/host/report.h"
#include "cli/output/errors.h"
#include "cli/output/format.h"
#include "cli/output/table.h"
#include "cli/output/terminal.h"
#include "cli/verbs/verbs.h"

static void gpus_print(const Arguments *a, const Host *h)
{
        static const Column columns[] = {
                { "GPU", 0 },
                { "DEVICE", COLUMN_SHRINK },
                { "DRIVER", 0 },
                { "STATE", 0 },
                { "MEMORY", COLUMN_RIGHT },
                { "INSTANCES", COLUMN_RIGHT },
                { "TYPES", COLUMN_RIGHT },
                { "REASON", COLUMN_SHRINK },
        };
        _cleanup_table_ Table *t = table_new(columns, G_N_ELEMENTS(columns));

        for (unsigned i = 0; i < host_n(h, OBJECT_GPU); i++) {
                const GpuInfo *g = host_gpu(h, i);

                table_add(t, g->name, TONE_PLAIN);
                table_take(t, gpu_title(g), TONE_PLAIN);
                table_add(t, g->driver, TONE_PLAIN);
                table_take(t, gpu_state_text(g), gpu_state_tone(g));
                table_take(t, gpu_memory_text(g), TONE_PLAIN);
                table_take(t, format_number(g->instance_count), TONE_PLAIN);
                table_take(t, format_number(g->type_count), TONE_PLAIN);
                table_add(t, g->reason, TONE_PLAIN);
        }

        if (table_rows(t) > 0)
                table_print(t, 0, a->legend);
}

static int gpus_run(const Arguments *a)
{
        _cleanup_host_ Host *h = host_new();
        _cleanup_client_ Client c = { 0 };
        int status;

        g_assert(a->n_words == 0);

        status = client_open(&c, a);
        if (status == 0)
                status = lookup_gpus(&c, h);
        if (status != 0)
                return status;

        if (a->json)
                return print_objects_json("gpus", h, OBJECT_GPU);

        if (!a->quiet)
                gpus_print(a, h);
        for (unsigned i = 0; a->quiet && i < host_n(h, OBJECT_GPU); i++)
                print_name(host_gpu(h, i)->name);
        if (host_n(h, OBJECT_GPU) == 0)
                remark(a, "This host has no GPU.");
        client_remark_config(&c);

        return 0;
}

const VerbInfo verb_gpus = {
        .name = "gpus",
        .words = "",
        .run = gpus_run,
        .text = "List the GPUs",
};
