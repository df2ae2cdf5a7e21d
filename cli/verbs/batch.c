/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* create, destroy, rescan, enable-vfs, disable-vfs, configure, cancel: the verbs that change something. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse-util.h"
#include "base/uuid.h"
#include "cli/client/client.h"
#include "cli/client/wait.h"
#include "cli/host/host-find.h"
#include "cli/host/host-json.h"
#include "cli/host/report.h"
#include "cli/output/errors.h"
#include "cli/output/json.h"
#include "cli/verbs/batch.h"
#include "cli/verbs/call-options.h"
#include "cli/verbs/place.h"
#include "cli/verbs/verbs.h"
#include "dbus/bus-names.h"

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



/* ---- cancel ---- */

int verb_cancel(const Arguments *a)
{
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        _cleanup_client_ Client c = { 0 };
        g_autofree char *path = NULL, *asked = NULL;
        uint32_t id;
        int r, status;

        if (parse_u32(a->words[0], 10, &id) < 0 || id == 0)
                return fail_usage(a, "cancel needs the number of a job, not \"%s\"", a->words[0]);
        status = client_open(&c, a);
        if (status != 0)
                return status;
        path = g_strdup_printf(VGPUD_PATH_JOB "/%" G_GUINT32_FORMAT, id);
        m = client_call_new(&c, path, VGPUD_INTERFACE_JOB, "Cancel", &status);
        if (!m)
                return status;
        r = sd_bus_message_append(m, "a{sv}", 0);
        if (r < 0)
                return not_sent(a, r);
        client_allow_password(&c);
        r = sd_bus_call(c.bus, m, UINT64_MAX, &error, NULL);
        if (r >= 0) {
                if (a->json) {
                        Json j = json_new(false);

                        json_object(&j, NULL);
                        json_u64(&j, "job", id);
                        json_string(&j, "result", "canceled");
                        json_object_end(&j);
                        json_print(&j, stdout);
                }
                return 0;
        }
        /* A job that is not there has no object to answer. */
        if (sd_bus_error_has_names(&error, SD_BUS_ERROR_UNKNOWN_OBJECT, SD_BUS_ERROR_UNKNOWN_METHOD,
                                   SD_BUS_ERROR_UNKNOWN_INTERFACE))
                return fail(a, VGPUD_ERROR_NO_SUCH_JOB, a->words[0],
                            "Could not cancel job %s: there is no such job, or it has ended", a->words[0]);
        if (!sd_bus_error_is_set(&error))
                (void)sd_bus_error_set_errno(&error, r);
        asked = g_strdup_printf("Could not cancel job %s", a->words[0]);
        return client_failed(&c, &error, a->words[0], asked);
}
