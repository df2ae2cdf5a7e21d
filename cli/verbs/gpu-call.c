/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "cli/verbs/gpu-call.h"

#include "cli/verbs/call-options.h"

int gpu_call_run(Batch *b, int r, int status)
{
        g_assert(b->n_calls == 1);

        if (status == 0 && r >= 0)
                r = append_keep_options(b->calls->message, b->client->args);
        if (status == 0 && r < 0)
                status = client_not_sent(b->client, r);
        if (status == 0)
                status = batch_run(b);
        calls_done(b->calls, b->n_calls);

        return status;
}
