/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* forget */

#include <string.h>

#include "cli/client/lookup.h"
#include "cli/output/errors.h"
#include "cli/verbs/batch.h"
#include "cli/verbs/verbs.h"
#include "dbus/bus-names.h"

static int forget_append(sd_bus_message *m, const char *gpu, const char *what)
{
        int r;

        r = sd_bus_message_append(m, "s", gpu);
        if (r >= 0)
                r = client_options_begin(m);
        if (r >= 0 && what && strcmp(what, "vfs") == 0)
                r = sd_bus_message_append(m, "{sv}", "vfs", "b", true);
        else if (r >= 0 && what)
                r = sd_bus_message_append(m, "{sv}", "mode", "s", what);

        return r < 0 ? r : client_options_end(m);
}

static int forget_run(const Arguments *a)
{
        _cleanup_host_ Host *h = host_new();
        _cleanup_client_ Client c = { 0 };
        Batch b = { .client = &c, .asked = "Could not forget settings of", .key = "gpu", .n_calls = 1 };
        g_autofree char *gpu = NULL;
        int r, status;

        g_assert(a->n_words == 1 || a->n_words == 2);

        status = client_open(&c, a);
        if (status == 0)
                status = lookup_gpu_name(&c, h, a->words[0], &gpu);
        if (status != 0)
                return status;

        b.calls = g_new0(Call, 1);
        b.calls->object = a->words[0];
        b.calls->kind = CALL_NO_JOB;

        b.calls->message = client_call_new(&c, VGPUD_PATH_ROOT, VGPUD_INTERFACE_MANAGER, "ForgetSettings",
                                           &status);
        if (b.calls->message) {
                r = forget_append(b.calls->message, gpu, a->n_words > 1 ? a->words[1] : NULL);
                status = r < 0 ? client_not_sent(&c, r) : batch_run(&b);
        }
        calls_done(b.calls, b.n_calls);

        return status;
}

const VerbInfo verb_forget = {
        .name = "forget",
        .words = "GPU [vfs|MODE]",
        .least_words = 1,
        .most_words = 2,
        .run = forget_run,
        .text = "Forget the kept settings of a GPU, also if the GPU is gone",
};
