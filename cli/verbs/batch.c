/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "cli/verbs/batch.h"

#include <stdio.h>
#include <string.h>

#include "cli/client/call-error.h"
#include "cli/output/errors.h"
#include "cli/output/json.h"

const char *call_result(const Call *call, const Arguments *a)
{
        if (!call->done)
                return "unknown";

        if (!call_succeeded(call))
                return "failed";

        return a->block ? "done" : "queued";
}

static void batch_explain(const Batch *b, const Call *call, ErrorInfo *e)
{
        g_autofree char *asked = g_strdup_printf("%s %s", b->asked, call->object), *message = NULL;
        _cleanup_error_info_ ErrorInfo absent = { 0 };
        const ErrorInfo *said = &call->error;

        /* A GPU that is named by its address is not looked up before the call, see lookup_word(). */
        if (strcmp(b->key, "gpu") == 0 && strcmp(said->name, SD_BUS_ERROR_UNKNOWN_OBJECT) == 0) {
                message = g_strdup_printf("there is no GPU \"%s\"", call->object);
                call_error_set(&absent, vgpud_error_code_to_dbus(VGPUD_ERROR_NO_SUCH_GPU), message);
                said = &absent;
        }

        call_error_explain(e, b->client->args, said, asked);
}

static void batch_on_call(Call *call, void *userdata)
{
        const Batch *b = userdata;
        const Arguments *a = b->client->args;

        g_assert(call->done);

        if (!call_succeeded(call)) {
                _cleanup_error_info_ ErrorInfo e = { 0 };

                batch_explain(b, call, &e);
                (void)error_info_print(a, &e, call->object);
        } else if (!a->block && !a->json) {
                (void)printf("%" G_GUINT32_FORMAT "\n", call_job_id(call));
                (void)fflush(stdout);
        }
}

void batch_print_json(const Batch *b)
{
        const Arguments *a = b->client->args;
        Json j;

        g_assert(a->json);

        j = json_new(false);
        json_object(&j, NULL);
        json_array(&j, "results");

        for (unsigned i = 0; i < b->n_calls; i++) {
                _cleanup_error_info_ ErrorInfo e = { 0 };
                const Call *call = &b->calls[i];

                if (call->error.name)
                        batch_explain(b, call, &e);

                json_object(&j, NULL);
                json_string(&j, b->key, call->object);
                json_u64_or_null(&j, "job", call_job_id(call));
                json_string(&j, "result", call_result(call, a));
                json_error(&j, "error", &e, call->object);
                json_object_end(&j);
        }

        json_array_end(&j);
        json_object_end(&j);
        json_print(&j, stdout);
}

int batch_run(Batch *b)
{
        int status;

        g_assert(b->n_calls > 0);
        g_assert(b->asked && b->key);

        client_allow_password(b->client);
        status = calls_run(b->client, b->calls, b->n_calls, batch_on_call, b);

        if (b->client->args->json)
                batch_print_json(b);

        for (unsigned i = 0; status == 0 && i < b->n_calls; i++)
                if (!call_succeeded(&b->calls[i])) {
                        _cleanup_error_info_ ErrorInfo e = { 0 };

                        batch_explain(b, &b->calls[i], &e);
                        status = e.status;
                }

        return status;
}
