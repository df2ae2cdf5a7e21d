/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "cli/verbs/gpu-call.h"

#include "cli/host/host-find.h"
#include "cli/verbs/call-options.h"

int gpu_call_find(const Arguments *a, Client *c, Host **ret_host, GpuInfo **ret)
{
        int status = client_open(c, a);

        if (status == 0)
                status = client_get_host(c, ret_host);
        if (status == 0)
                *ret = host_find_gpu(*ret_host, a, a->words[0], &status);

        return status;
}

/* The message has its arguments, r says whether they could be appended; this adds the options. */
int gpu_call_run(Batch *b, int r, int status)
{
        const Arguments *a = b->client->args;

        if (status == 0 && r >= 0)
                r = sd_bus_message_open_container(b->calls->message, 'a', "{sv}");
        if (status == 0 && r >= 0)
                r = append_common_options(b->calls->message, a);
        if (status == 0 && r < 0)
                status = not_sent(a, r);
        if (status == 0)
                status = batch_run(b);
        calls_done(b->calls, b->n_calls);

        return status;
}
