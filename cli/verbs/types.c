/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* types */

#include <stdio.h>
#include <string.h>

#include "cli/client/client.h"
#include "cli/host/host-json.h"
#include "cli/host/report.h"
#include "cli/output/errors.h"
#include "cli/output/json.h"
#include "cli/verbs/verbs.h"

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
