/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* jobs and cancel */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/parse-util.h"
#include "cli/client/client.h"
#include "cli/host/host-json.h"
#include "cli/host/report.h"
#include "cli/output/errors.h"
#include "cli/output/json.h"
#include "cli/verbs/call-options.h"
#include "cli/verbs/verbs.h"
#include "dbus/bus-names.h"

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

int verb_jobs(const Arguments *a)
{
        _cleanup_client_ Client c = { 0 };
        _cleanup_host_ Host *h = NULL;
        int status = client_open_host(&c, a, &h);

        if (status != 0)
                return status;

        if (a->json)
                return print_objects_json("jobs", h, OBJECT_JOB, NULL);

        if (a->quiet) {
                for (unsigned i = 0; i < host_n(h, OBJECT_JOB); i++)
                        (void)printf("%" G_GUINT32_FORMAT "\n", host_job(h, i)->id);
                return 0;
        }

        if (print_jobs(a, h, NULL, 0) == 0)
                remark(a, "Nothing is being done.");

        return 0;
}
