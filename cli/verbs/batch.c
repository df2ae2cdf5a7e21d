/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "cli/verbs/batch.h"

#include <stdio.h>

#include "cli/output/errors.h"
#include "cli/output/json.h"

static Failure batch_failure(const Batch *b, const Call *call)
{
        g_autofree char *asked = g_strdup_printf("%s %s", b->asked, call->object);

        return failure_from_error(b->client, &call->error, asked);
}

static void batch_on_call(Call *call, void *userdata)
{
        Batch *b = userdata;
        const Arguments *a = b->client->args;

        if (!call_succeeded(call)) {
                _cleanup_failure_ Failure f = batch_failure(b, call);

                (void)fail_named(a, f.name, f.status, call->object, f.hint, f.message);
        } else if (!a->block && !a->json) {
                (void)printf("%" G_GUINT32_FORMAT "\n", call->job);
                (void)fflush(stdout);
        }
}

void batch_print_json(const Batch *b)
{
        const Arguments *a = b->client->args;
        Json j = json_new(false);

        json_object(&j, NULL);
        json_array(&j, "results");

        for (unsigned i = 0; i < b->n_calls; i++) {
                const Call *call = &b->calls[i];

                json_object(&j, NULL);
                json_string(&j, b->key, call->object);

                if (call->job != 0)
                        json_u64(&j, "job", call->job);
                else
                        json_null(&j, "job");

                json_string(&j, "result",
                            !call->done             ? "unknown"
                            : !call_succeeded(call) ? "failed"
                            : a->block              ? "done"
                                                    : "queued");
                if (call->done && !call_succeeded(call)) {
                        _cleanup_failure_ Failure f = batch_failure(b, call);

                        json_error(&j, "error", f.name, f.status, call->object, f.hint, f.message);
                } else
                        json_null(&j, "error");

                json_object_end(&j);
        }

        json_array_end(&j);
        json_object_end(&j);
        json_print(&j, stdout);
}

/* All are tried; the exit status is that of the first one that failed. */
int batch_run(Batch *b)
{
        int status;

        client_allow_password(b->client);
        status = calls_run(b->client, b->calls, b->n_calls, batch_on_call, b);

        if (b->client->args->json)
                batch_print_json(b);
        for (unsigned i = 0; status == 0 && i < b->n_calls; i++)
                if (!call_succeeded(&b->calls[i])) {
                        _cleanup_failure_ Failure f = batch_failure(b, &b->calls[i]);

                        status = f.status;
                }

        return status;
}
