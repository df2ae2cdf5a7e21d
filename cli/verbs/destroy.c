/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* destroy */

#include <string.h>

#include "cli/client/client.h"
#include "cli/client/wait.h"
#include "cli/output/errors.h"
#include "cli/verbs/batch.h"
#include "cli/verbs/call-options.h"
#include "cli/verbs/verbs.h"
#include "dbus/bus-names.h"

int verb_destroy(const Arguments *a)
{
        _cleanup_client_ Client c = { 0 };
        Batch b = { .client = &c, .asked = "Could not destroy", .key = "instance", .n_calls = a->n_words };
        int r = 0, status;

        for (unsigned i = 0; i < a->n_words; i++)
                if (!*a->words[i])
                        return fail_usage(a, "destroy needs UUIDs or names of instances");

        status = client_open(&c, a);
        if (status != 0)
                return status;

        b.calls = g_new0(Call, a->n_words);
        for (unsigned i = 0; status == 0 && i < a->n_words; i++) {
                Call *call = &b.calls[i];

                call->object = a->words[i];

                call->message = client_call_new(&c, VGPUD_PATH_ROOT, VGPUD_INTERFACE_MANAGER, "Destroy",
                                                &status);
                if (!call->message)
                        break;

                r = sd_bus_message_append(call->message, "s", call->object);
                if (r >= 0)
                        r = sd_bus_message_open_container(call->message, 'a', "{sv}");
                if (r >= 0)
                        r = append_common_options(call->message, a);
                if (r < 0)
                        status = not_sent(a, r);
        }

        if (status == 0)
                status = batch_run(&b);
        calls_done(b.calls, b.n_calls);

        return status;
}
