/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* configure */

#include <stdio.h>

#include "cli/client/client.h"
#include "cli/host/host-json.h"
#include "cli/host/report.h"
#include "cli/output/errors.h"
#include "cli/output/json.h"
#include "cli/verbs/gpu-call.h"
#include "cli/verbs/verbs.h"
#include "dbus/bus-names.h"

static int configure_list(const Arguments *a, const GpuInfo *g)
{
        if (a->json) {
                Json j = json_new(false);

                json_object(&j, NULL);
                json_modes(&j, "modes", g->modes);
                json_object_end(&j);
                json_print(&j, stdout);
                return 0;
        }

        for (unsigned i = 0; a->quiet && i < g->modes->len; i++)
                (void)puts(((const ModeInfo *)g->modes->pdata[i])->name);
        if (!a->quiet)
                print_modes(g, 0);
        if (g->modes->len == 0)
                remark(a, "%s has no modes to set.", g->name);

        return 0;
}

int verb_configure(const Arguments *a)
{
        _cleanup_client_ Client c = { 0 };
        _cleanup_host_ Host *h = NULL;
        Batch b = { .client = &c, .asked = "Could not configure", .key = "gpu", .n_calls = 1 };
        GpuInfo *g = NULL;
        int r = 0, status;

        if (a->n_words == 2)
                return fail_usage(a, "configure needs a value for mode \"%s\"", a->words[1]);

        status = gpu_call_find(a, &c, &h, &g);
        if (status != 0)
                return status;

        if (a->n_words == 1)
                return configure_list(a, g);

        b.calls = g_new0(Call, 1);
        b.calls->object = g->name;

        b.calls->message = client_call_new(&c, g->path, VGPUD_INTERFACE_GPU, "Configure", &status);
        if (b.calls->message)
                r = sd_bus_message_append(b.calls->message, "ss", a->words[1], a->words[2]);

        return gpu_call_run(&b, r, status);
}
