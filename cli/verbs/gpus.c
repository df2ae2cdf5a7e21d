/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* gpus */

#include <stdio.h>
#include <string.h>

#include "cli/client/client.h"
#include "cli/host/host-json.h"
#include "cli/host/report.h"
#include "cli/output/errors.h"
#include "cli/output/format.h"
#include "cli/output/table.h"
#include "cli/verbs/verbs.h"

int verb_gpus(const Arguments *a)
{
        static const Column columns[] = {
                { "GPU", 0 },
                { "DEVICE", COLUMN_SHRINK },
                { "DRIVER", 0 },
                { "STATE", 0 },
                { "INSTANCES", COLUMN_RIGHT },
                { "TYPES", COLUMN_RIGHT },
                { "REASON", COLUMN_SHRINK },
        };
        _cleanup_client_ Client c = { 0 };
        _cleanup_host_ Host *h = NULL;
        _cleanup_table_ Table *t = NULL;
        int status = client_open_host(&c, a, &h);

        if (status != 0)
                return status;

        if (a->json)
                return print_objects_json("gpus", h, OBJECT_GPU, NULL);

        t = table_new(columns, G_N_ELEMENTS(columns));
        for (unsigned i = 0; i < host_n(h, OBJECT_GPU); i++) {
                const GpuInfo *g = host_gpu(h, i);
                int64_t n = 0;

                if (a->quiet) {
                        (void)puts(g->name);
                        continue;
                }

                for (unsigned k = 0; k < host_n(h, OBJECT_INSTANCE); k++)
                        n += strcmp(host_instance(h, k)->gpu, g->path) == 0;
                table_add(t, g->name, TONE_PLAIN);
                table_take(t, gpu_title(g), TONE_PLAIN);
                table_add(t, g->driver, TONE_PLAIN);
                table_take(t, gpu_state_text(g), gpu_state_tone(g));
                table_take(t, format_number(n), TONE_PLAIN);
                table_take(t, format_number(g->types->len), TONE_PLAIN);
                table_add(t, g->reason, TONE_PLAIN);
        }

        if (table_rows(t) > 0)
                table_print(t, 0, a->legend);
        if (host_n(h, OBJECT_GPU) == 0)
                remark(a, "This host has no GPU.");
        client_remark_config(&c);

        return 0;
}
