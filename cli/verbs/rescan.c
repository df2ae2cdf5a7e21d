/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* rescan */

#include <string.h>

#include "cli/client/client.h"
#include "cli/client/wait.h"
#include "cli/host/host-find.h"
#include "cli/output/errors.h"
#include "cli/verbs/batch.h"
#include "cli/verbs/call-options.h"
#include "cli/verbs/verbs.h"
#include "dbus/bus-names.h"

int verb_rescan(const Arguments *a)
{
        _cleanup_client_ Client c = { 0 };
        _cleanup_host_ Host *h = NULL;
        Batch b = { .client = &c, .asked = "Could not look at", .key = "gpu" };
        GpuInfo *only = NULL;
        int r = 0, status;

        status = client_open(&c, a);
        if (status == 0)
                status = client_get_host(&c, &h);
        if (status == 0 && a->n_words > 0)
                only = host_find_gpu(h, a, a->words[0], &status);
        if (status != 0)
                return status;

        b.calls = g_new0(Call, MAX(host_n(h, OBJECT_GPU), 1));
        for (unsigned i = 0; status == 0 && i < host_n(h, OBJECT_GPU); i++) {
                const GpuInfo *g = host_gpu(h, i);
                Call *call = &b.calls[b.n_calls];

                /* A GPU that nobody manages has nothing to look at; asked for by name it may say so. */
                if (only ? g != only : !*g->back_end)
                        continue;

                b.n_calls++;
                call->object = g->name;

                call->message = client_call_new(&c, g->path, VGPUD_INTERFACE_GPU, "Rescan", &status);
                if (!call->message)
                        break;

                r = sd_bus_message_open_container(call->message, 'a', "{sv}");
                if (r >= 0)
                        r = append_common_options(call->message, a);
                if (r < 0)
                        status = not_sent(a, r);
        }

        if (status == 0 && b.n_calls > 0)
                status = batch_run(&b);
        else if (status == 0 && a->json)
                batch_print_json(&b);
        else if (status == 0)
                remark(a, "No GPU of this host is managed by vgpud.");

        calls_done(b.calls, b.n_calls);

        return status;
}
