/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* rescan */

#include "cli/client/lookup.h"
#include "cli/output/errors.h"
#include "cli/verbs/batch.h"
#include "cli/verbs/call-options.h"
#include "cli/verbs/verbs.h"
#include "dbus/bus-names.h"

static int rescan_add(Batch *b, const GpuInfo *g)
{
        Call *call = &b->calls[b->n_calls++];
        int r, status = 0;

        call->object = b->client->args->n_words > 0 ? b->client->args->words[0] : g->name;

        call->message = client_call_new(b->client, g->path, VGPUD_INTERFACE_GPU, "Rescan", &status);
        if (!call->message)
                return status;

        r = append_job_options(call->message, b->client->args);

        return r < 0 ? client_not_sent(b->client, r) : 0;
}

static int rescan_run(const Arguments *a)
{
        _cleanup_host_ Host *h = host_new();
        _cleanup_client_ Client c = { 0 };
        Batch b = { .client = &c, .asked = "Could not scan", .key = "gpu" };
        GpuInfo *only = NULL;
        int status;

        g_assert(a->n_words <= 1);

        status = client_open(&c, a);
        if (status == 0)
                status = a->n_words > 0 ? lookup_gpu(&c, h, a->words[0], &only) : lookup_gpus(&c, h);
        if (status != 0)
                return status;

        b.calls = g_new0(Call, MAX(host_n(h, OBJECT_GPU), 1));
        for (unsigned i = 0; status == 0 && i < host_n(h, OBJECT_GPU); i++) {
                const GpuInfo *g = host_gpu(h, i);

                /* A GPU without a back end cannot be scanned. If such a GPU is named, the daemon says why. */
                if (only ? g == only : *g->back_end != 0)
                        status = rescan_add(&b, g);
        }

        if (status == 0 && b.n_calls > 0)
                status = batch_run(&b);
        else if (status == 0 && a->json)
                batch_print_json(&b);
        else if (status == 0)
                remark(a, "vgpud manages no GPU of this host.");

        calls_done(b.calls, b.n_calls);

        return status;
}

const VerbInfo verb_rescan = {
        .name = "rescan",
        .words = "[GPU]",
        .most_words = 1,
        .options = OPTION_TIMEOUT | OPTION_NO_BLOCK,
        .run = rescan_run,
        .text = "Scan one GPU or all GPUs again",
};
