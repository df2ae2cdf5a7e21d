/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The overview, gpus, types, list, jobs: each is one call and one table. */

#include <stdio.h>
#include <string.h>

#include "cli/client/client.h"
#include "cli/host/host-find.h"
#include "cli/host/host-json.h"
#include "cli/host/report.h"
#include "cli/output/errors.h"
#include "cli/output/format.h"
#include "cli/output/json.h"
#include "cli/output/table.h"
#include "cli/output/terminal.h"
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

static void types_quiet(const Host *h, const GpuInfo *only)
{
        g_autoptr(GHashTable) seen =
                        g_hash_table_new(g_str_hash, g_str_equal); /* GPUs of one kind offer the same */

        for (unsigned i = 0; i < host_n(h, OBJECT_GPU); i++)
                for (unsigned n = 0; n < host_gpu(h, i)->types->len; n++) {
                        const TypeInfo *t = host_gpu(h, i)->types->pdata[n];

                        if ((!only || only == host_gpu(h, i)) && g_hash_table_add(seen, t->id))
                                (void)puts(t->id);
                }
}

int verb_types(const Arguments *a)
{
        _cleanup_client_ Client c = { 0 };
        _cleanup_host_ Host *h = NULL;
        GpuInfo *only = NULL;
        int status = client_open_host_and_gpu(&c, a, a->why ? client_get_host : client_get_types, &h, &only);

        if (status != 0)
                return status;
        if (a->json) {
                Json j = json_new(false);

                json_object(&j, NULL);
                json_array(&j, "types");
                for (unsigned i = 0; i < host_n(h, OBJECT_GPU); i++)
                        for (unsigned n = 0;
                             (!only || only == host_gpu(h, i)) && n < host_gpu(h, i)->types->len; n++)
                                json_type_info(&j, NULL, host_gpu(h, i)->types->pdata[n], host_gpu(h, i));
                json_array_end(&j);
                json_object_end(&j);
                json_print(&j, stdout);
                return 0;
        }
        if (a->quiet) {
                types_quiet(h, only);
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

int verb_list(const Arguments *a)
{
        _cleanup_client_ Client c = { 0 };
        _cleanup_host_ Host *h = NULL;
        GpuInfo *only = NULL;
        int status = client_open_host_and_gpu(&c, a, client_get_instances, &h, &only);

        if (status != 0)
                return status;
        if (a->json)
                return print_objects_json("instances", h, OBJECT_INSTANCE, only ? only->path : NULL);
        if (a->quiet) {
                for (unsigned i = 0; i < host_n(h, OBJECT_INSTANCE); i++)
                        if (!only || strcmp(host_instance(h, i)->gpu, only->path) == 0)
                                (void)puts(host_instance(h, i)->uuid);
                return 0;
        }
        if (print_instances(a, h, only, 0) == 0)
                remark(a, "There are no instances%s%s. \"vgpuctl types\" lists what can be made.",
                       only ? " on " : "", only ? only->name : "");
        return 0;
}
