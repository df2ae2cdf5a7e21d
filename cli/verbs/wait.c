/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* wait: for jobs, and for the jobs that work on instances. For wait --ready, see ready.c. */

#include <stdio.h>
#include <string.h>

#include "base/parse-util.h"
#include "base/uuid.h"
#include "cli/client/call-error.h"
#include "cli/client/lookup.h"
#include "cli/client/wait.h"
#include "cli/host/find.h"
#include "cli/output/errors.h"
#include "cli/output/json.h"
#include "cli/verbs/ready.h"
#include "cli/verbs/verbs.h"
#include "dbus/bus-names.h"

/* ---- calls ---- */

static int wait_build_job(Client *c, Call *call, uint32_t id)
{
        int r, status = 0;

        g_assert(id > 0);

        call->kind = CALL_GET_JOB;

        call->message = client_call_new(c, VGPUD_PATH_ROOT, VGPUD_INTERFACE_MANAGER, "GetJob", &status);
        if (!call->message)
                return status;

        r = sd_bus_message_append(call->message, "u", id);
        if (r >= 0)
                r = client_options_begin(call->message);
        if (r >= 0)
                r = client_options_end(call->message);

        return r < 0 ? client_not_sent(c, r) : 0;
}

static int wait_build_instance(Client *c, Call *call, const char *path)
{
        int r, status = 0;

        call->kind = CALL_INSTANCE_JOB;
        call->path = g_strdup(path);

        call->message = client_call_new(c, path, "org.freedesktop.DBus.Properties", "Get", &status);
        if (!call->message)
                return status;

        r = sd_bus_message_append(call->message, "ss", VGPUD_INTERFACE_INSTANCE, "Job");

        return r < 0 ? client_not_sent(c, r) : 0;
}

/* Build the call for an instance that is not listed. If the error is NoSuchInstance and names the job that is
 * to create the instance, wait for that job. After any other error, a whole UUID or path still gets a call: the
 * call fails for this word alone, and vgpuctl waits for the other words. */
static int wait_build_missing(Client *c, Call *call, const char *word, const ErrorInfo *said)
{
        _cleanup_error_info_ ErrorInfo error = { 0 };
        g_autofree char *path = NULL, *asked = g_strdup_printf("Could not find \"%s\"", word);

        if (lookup_missing_instance(c, word, said, &path, &error))
                return wait_build_instance(c, call, path);

        if (error.job != 0 && strcmp(error.name, vgpud_error_code_to_dbus(VGPUD_ERROR_NO_SUCH_INSTANCE)) == 0)
                return wait_build_job(c, call, error.job);

        if (word[0] == '/')
                return wait_build_instance(c, call, word);

        if (uuid_is_valid(word)) {
                path = instance_path_from_uuid(word);
                return wait_build_instance(c, call, path);
        }

        return client_failed(c, &error, word, asked);
}

/* Build the call for a word: the whole name or UUID of an instance, the number of a job, or the beginning of a
 * UUID. */
static int wait_build(Client *c, const Host *h, Call *call, const char *word)
{
        _cleanup_error_info_ ErrorInfo said = { 0 };
        InstanceInfo *i;
        ObjectKind kind;
        uint32_t id = 0;

        g_assert(*word);

        call->object = word;

        if (job_id_from_path(word) != 0)
                return wait_build_job(c, call, job_id_from_path(word));

        if (word_is_whole(word)) {
                error_info_set(&said, VGPUD_ERROR_NO_SUCH_INSTANCE, "");
                return wait_build_missing(c, call, word, &said);
        }

        (void)parse_u32(word, 10, &id);
        i = host_find(h, word, FIND_INSTANCE | FIND_NO_SHORT, &kind, &said);
        if (i && (id == 0 || strcmp(i->name, word) == 0))
                return wait_build_instance(c, call, i->path);

        if (id != 0)
                return wait_build_job(c, call, id);

        return wait_build_missing(c, call, word, &said);
}

/* ---- results ---- */

static void wait_explain(const Client *c, const Call *call, ErrorInfo *e)
{
        uint32_t id = 0;
        bool is_job = job_id_from_path(call->object) != 0 || parse_u32(call->object, 10, &id) >= 0;
        g_autofree char *asked = g_strdup_printf(
                        is_job && call->kind == CALL_GET_JOB ? "Job %s" : "Instance %s", call->object);

        /* A missing instance has no object, so libsystemd answers with one of these errors. */
        if (call->kind == CALL_INSTANCE_JOB && (strcmp(call->error.name, SD_BUS_ERROR_UNKNOWN_OBJECT) == 0 ||
                                                strcmp(call->error.name, SD_BUS_ERROR_UNKNOWN_INTERFACE) == 0 ||
                                                strcmp(call->error.name, SD_BUS_ERROR_UNKNOWN_PROPERTY) == 0)) {
                g_autofree char *message = g_strdup_printf("There is no instance \"%s\"", call->object);

                error_info_set(e, VGPUD_ERROR_NO_SUCH_INSTANCE, message);
        } else
                call_error_explain(e, c->args, &call->error, asked);
}

static void wait_on_call(Call *call, void *userdata)
{
        const Client *c = userdata;
        _cleanup_error_info_ ErrorInfo e = { 0 };

        if (!call->error.name)
                return;

        wait_explain(c, call, &e);
        (void)error_info_print(c->args, &e, call->object);
}

static const char *wait_result(const Call *call)
{
        const char *result = NULL;

        if (call->error.name && strcmp(call->error.name, vgpud_error_code_to_dbus(VGPUD_ERROR_TIMEOUT)) == 0)
                return "timeout";

        if (call->jobs && call->jobs->len > 0)
                result = ((const CallJob *)call->jobs->pdata[call->jobs->len - 1])->result;
        if (call->error.name)
                return g_strcmp0(result, "canceled") == 0 ? "canceled" : "failed";

        return !call->done ? "unknown" : result ? "done" : "none";
}

static void wait_print_json(const Client *c, const Call *calls, unsigned n_calls)
{
        Json j = json_new(false);

        json_object(&j, NULL);
        json_array(&j, "results");

        for (unsigned i = 0; i < n_calls; i++) {
                g_autofree char *uuid = calls[i].path ? uuid_from_path(calls[i].path) : NULL;
                _cleanup_error_info_ ErrorInfo e = { 0 };

                if (calls[i].error.name)
                        wait_explain(c, &calls[i], &e);

                json_object(&j, NULL);
                json_u64_or_null(&j, "job", call_job_id(&calls[i]));
                json_string(&j, "instance", uuid);
                json_string(&j, "result", wait_result(&calls[i]));
                json_error(&j, "error", &e, calls[i].object);
                json_object_end(&j);
        }

        json_array_end(&j);
        json_object_end(&j);
        json_print(&j, stdout);
}

/* ---- the verb ---- */

static int wait_for_calls(Client *c, Call *calls, unsigned n_calls)
{
        int status;

        status = calls_run(c, calls, n_calls, wait_on_call, c);

        if (c->args->json)
                wait_print_json(c, calls, n_calls);
        for (unsigned i = 0; status == 0 && i < n_calls; i++)
                if (calls[i].error.name) {
                        _cleanup_error_info_ ErrorInfo e = { 0 };

                        wait_explain(c, &calls[i], &e);
                        status = e.status;
                }

        return status;
}

static int wait_run_jobs(const Arguments *a)
{
        bool one_job = a->n_words == 2 && strcmp(a->words[0], "job") == 0;
        unsigned first = one_job ? 1 : 0, n_calls = a->n_words - first;
        _cleanup_host_ Host *h = host_new();
        _cleanup_client_ Client c = { 0 };
        bool listed = false;
        uint32_t id = 0;
        int status = 0;
        Call *calls;

        g_assert(a->n_words >= 1);

        if (one_job && (parse_u32(a->words[1], 10, &id) < 0 || id == 0))
                return fail_usage(a, "wait job needs the number of a job, not \"%s\"", a->words[1]);

        for (unsigned i = first; i < a->n_words; i++) {
                if (!*a->words[i])
                        return fail_usage(a, "wait needs jobs or instances");

                listed = listed || !word_is_whole(a->words[i]);
        }

        status = client_open(&c, a);
        if (status == 0 && listed && !one_job)
                status = lookup_instances(&c, h, NULL, LOOKUP_NAMES);
        if (status != 0)
                return status;

        calls = g_new0(Call, n_calls);
        for (unsigned i = 0; status == 0 && i < n_calls; i++) {
                calls[i].object = a->words[first + i];
                status = one_job ? wait_build_job(&c, &calls[i], id)
                                 : wait_build(&c, h, &calls[i], a->words[i]);
        }

        if (status == 0)
                status = wait_for_calls(&c, calls, n_calls);
        calls_done(calls, n_calls);

        return status;
}

static int wait_run(const Arguments *a)
{
        if (a->ready)
                return ready_run(a);

        if (a->n_words == 0)
                return fail_usage(a, "wait needs jobs or instances, or --ready");

        return wait_run_jobs(a);
}

const VerbInfo verb_wait = {
        .name = "wait",
        .words = "JOB|INSTANCE...|--ready [DEFINITION...]",
        .most_words = VERB_ANY_WORDS,
        .options = OPTION_TIMEOUT | OPTION_READY,
        .run = wait_run,
        .text = "Wait for jobs, jobs of instances, or until the host is ready",
};
