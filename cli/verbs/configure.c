/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* configure */

#include <stdio.h>

#include "cli/client/lookup.h"
#include "cli/host/objects-json.h"
#include "cli/host/report.h"
#include "cli/output/errors.h"
#include "cli/output/json.h"
#include "cli/output/terminal.h"
#include "cli/verbs/gpu-call.h"
#include "cli/verbs/verbs.h"
#include "dbus/bus-names.h"

static int configure_list(const Arguments *a, const GpuInfo *g)
{
        g_assert(a->n_words == 1);

        if (a->json) {
                Json j = json_new(false);

                json_object(&j, NULL);
                json_string(&j, "gpu", g->name);
                json_modes(&j, "modes", g->modes);
                json_object_end(&j);
                json_print(&j, stdout);
                return 0;
        }

        for (unsigned i = 0; a->quiet && i < g->modes->len; i++)
                print_name(((const ModeInfo *)g->modes->pdata[i])->name);
        if (!a->quiet)
                print_modes(g, 0);
        if (g->modes->len == 0)
                remark(a, "%s has no modes to set.", g->name);

        return 0;
}

static int configure_set(Client *c, const GpuInfo *g)
{
        Batch b = { .client = c,
                    .asked = "Could not configure",
                    .key = "gpu",
                    .calls = g_new0(Call, 1),
                    .n_calls = 1 };
        int r = 0, status = 0;

        g_assert(c->args->n_words == 3);

        b.calls->object = c->args->words[0];

        b.calls->message = client_call_new(c, g->path, VGPUD_INTERFACE_GPU, "Configure", &status);
        if (b.calls->message)
                r = sd_bus_message_append(b.calls->message, "ss", c->args->words[1], c->args->words[2]);

        return gpu_call_run(&b, r, status);
}

static int configure_run(const Arguments *a)
{
        _cleanup_host_ Host *h = host_new();
        _cleanup_client_ Client c = { 0 };
        GpuInfo *g = NULL;
        void *object;
        int status;

        g_assert(a->n_words >= 1 && a->n_words <= 3);

        if (a->n_words == 2)
                return fail_usage(a, "configure needs a value for mode \"%s\"", a->words[1]);

        if (a->keep && a->n_words == 1)
                return fail_usage(a, "--keep needs a mode and a value");

        status = client_open(&c, a);
        if (status == 0)
                status = lookup_gpu(&c, h, a->words[0], &g);
        if (status == 0 && a->n_words == 1) /* the list of GPUs has no modes */
                status = lookup_object(&c, h, OBJECT_GPU, g->path, a->words[0], &object);
        if (status != 0)
                return status;

        return a->n_words == 1 ? configure_list(a, g) : configure_set(&c, g);
}

const VerbInfo verb_configure = {
        .name = "configure",
        .words = "GPU [MODE VALUE]",
        .least_words = 1,
        .most_words = 3,
        .options = OPTION_KEEP | OPTION_TIMEOUT | OPTION_NO_BLOCK,
        .run = configure_run,
        .text = "Set a mode of a GPU, or list its modes",
};
