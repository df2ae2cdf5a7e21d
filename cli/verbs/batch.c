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

/* ---- enable-vfs, disable-vfs, configure: one call for one GPU ---- */

static int find_gpu(const Arguments *a, Client *c, Host **ret_host, GpuInfo **ret)
{
        int status = client_open(c, a);

        if (status == 0)
                status = client_get_host(c, ret_host);
        if (status == 0)
                *ret = host_find_gpu(*ret_host, a, a->words[0], &status);
        return status;
}

/* The message has its arguments, r says whether they could be appended; this adds the options. */
static int gpu_run(Batch *b, int r, int status)
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

static int set_vfs(Client *c, const GpuInfo *g, uint32_t count)
{
        Batch b = { .client = c, .key = "gpu", .calls = g_new0(Call, 1), .n_calls = 1 };
        int r = 0, status = 0;

        b.asked = count > 0 ? "Could not enable virtual functions of"
                            : "Could not disable the virtual functions of";
        b.calls->object = g->name;
        b.calls->message = client_call_new(c, g->path, VGPUD_INTERFACE_GPU, "SetVfs", &status);
        if (b.calls->message)
                r = sd_bus_message_append(b.calls->message, "u", count);
        return gpu_run(&b, r, status);
}

int verb_enable_vfs(const Arguments *a)
{
        _cleanup_client_ Client c = { 0 };
        _cleanup_host_ Host *h = NULL;
        GpuInfo *g = NULL;
        uint32_t count = 0;
        int status;

        if (a->n_words > 1 && (parse_u32(a->words[1], 10, &count) < 0 || count == 0))
                return fail_usage(a,
                                  "enable-vfs needs a number of virtual functions from 1, not \"%s\"; "
                                  "disable-vfs takes them away",
                                  a->words[1]);
        status = find_gpu(a, &c, &h, &g);
        if (status != 0)
                return status;
        if (count == 0 && g->total_vfs == 0)
                return fail(a, VGPUD_ERROR_UNSUPPORTED, g->name,
                            "Could not enable virtual functions of %s: it cannot have any (no SR-IOV, or it is "
                            "switched off in the firmware setup)",
                            g->name);
        return set_vfs(&c, g, count > 0 ? count : g->total_vfs);
}

int verb_disable_vfs(const Arguments *a)
{
        _cleanup_client_ Client c = { 0 };
        _cleanup_host_ Host *h = NULL;
        GpuInfo *g = NULL;
        int status = find_gpu(a, &c, &h, &g);

        return status != 0 ? status : set_vfs(&c, g, 0);
}

static int list_modes(const Arguments *a, const GpuInfo *g)
{
        if (a->json) {
                Json j = json_new(false);

                json_object(&j, NULL);
                json_modes(&j, "modes", g->modes);
                json_object_end(&j);
                json_print(&j, stdout);
                return 0;
        }
        for (unsigned i = 0; a->quiet && i < g->modes->len; i++)
                (void)puts(((const ModeInfo *)g->modes->pdata[i])->name);
        if (!a->quiet)
                print_modes(g, 0);
        if (g->modes->len == 0)
                remark(a, "%s has no modes to set.", g->name);
        return 0;
}

int verb_configure(const Arguments *a)
{
        _cleanup_client_ Client c = { 0 };
        _cleanup_host_ Host *h = NULL;
        Batch b = { .client = &c, .asked = "Could not configure", .key = "gpu", .n_calls = 1 };
        GpuInfo *g = NULL;
        int r = 0, status;

        if (a->n_words == 2)
                return fail_usage(a, "configure needs a value for mode \"%s\"", a->words[1]);
        status = find_gpu(a, &c, &h, &g);
        if (status != 0)
                return status;
        if (a->n_words == 1)
                return list_modes(a, g);
        b.calls = g_new0(Call, 1);
        b.calls->object = g->name;
        b.calls->message = client_call_new(&c, g->path, VGPUD_INTERFACE_GPU, "Configure", &status);
        if (b.calls->message)
                r = sd_bus_message_append(b.calls->message, "ss", a->words[1], a->words[2]);
        return gpu_run(&b, r, status);
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
