/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* jobs and cancel */

#include <stdio.h>
#include <string.h>

#include "base/parse-util.h"
#include "cli/client/call-error.h"
#include "cli/client/lookup.h"
#include "cli/host/objects-json.h"
#include "cli/host/report.h"
#include "cli/output/errors.h"
#include "cli/output/json.h"
#include "cli/verbs/verbs.h"
#include "dbus/bus-names.h"

static int job_run_list(const Arguments *a)
{
        _cleanup_host_ Host *h = host_new();
        _cleanup_client_ Client c = { 0 };
        int status;

        g_assert(a->n_words == 0);

        status = client_open(&c, a);
        if (status == 0)
                status = lookup_jobs(&c, h, a->all);
        if (status != 0)
                return status;

        if (a->json)
                return print_objects_json("jobs", h, OBJECT_JOB);

        if (a->quiet) {
                for (unsigned i = 0; i < host_n(h, OBJECT_JOB); i++)
                        (void)printf("%" G_GUINT32_FORMAT "\n", host_job(h, i)->id);
                return 0;
        }

        if (print_jobs(a, h, a->all ? PRINT_ENDED : 0) == 0)
                remark(a, a->all ? "There are no jobs." : "No job runs or waits.");

        return 0;
}

const VerbInfo verb_jobs = {
        .name = "jobs",
        .words = "",
        .options = OPTION_ALL,
        .run = job_run_list,
        .text = "List the jobs that run or wait",
};

static void cancel_print(const Arguments *a, uint32_t id)
{
        Json j;

        g_assert(id > 0);

        if (!a->json)
                return;

        j = json_new(false);
        json_object(&j, NULL);
        json_u64(&j, "job", id);
        json_string(&j, "result", "canceled");
        json_object_end(&j);
        json_print(&j, stdout);
}

static int job_run_cancel(const Arguments *a)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        _cleanup_error_info_ ErrorInfo error = { 0 };
        _cleanup_client_ Client c = { 0 };
        g_autofree char *path = NULL, *asked = NULL;
        uint32_t id;
        int status;

        g_assert(a->n_words == 1);

        if (parse_u32(a->words[0], 10, &id) < 0 || id == 0)
                return fail_usage(a, "cancel needs the number of a job, not \"%s\"", a->words[0]);

        status = client_open(&c, a);
        if (status != 0)
                return status;

        path = g_strdup_printf(VGPUD_PATH_JOB "/%" G_GUINT32_FORMAT, id);
        m = client_call_new_plain(&c, path, VGPUD_INTERFACE_JOB, "Cancel", &status);
        if (!m)
                return status;

        client_allow_password(&c);
        if (client_call(&c, m, NULL, &error)) {
                cancel_print(a, id);
                return 0;
        }

        /* A job that has ended has no object. */
        if (strcmp(error.name, SD_BUS_ERROR_UNKNOWN_OBJECT) == 0 ||
            strcmp(error.name, SD_BUS_ERROR_UNKNOWN_METHOD) == 0 ||
            strcmp(error.name, SD_BUS_ERROR_UNKNOWN_INTERFACE) == 0)
                return fail(a, VGPUD_ERROR_NO_SUCH_JOB, a->words[0],
                            "Could not cancel job %s: there is no such job, or the job has ended", a->words[0]);

        asked = g_strdup_printf("Could not cancel job %s", a->words[0]);

        return client_failed(&c, &error, a->words[0], asked);
}

const VerbInfo verb_cancel = {
        .name = "cancel",
        .words = "JOB",
        .least_words = 1,
        .most_words = 1,
        .run = job_run_cancel,
        .text = "Take a waiting job out of the queue",
};
