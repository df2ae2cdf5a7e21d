/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "cli/client/call.h"

#include <string.h>

#include "cli/client/call-error.h"
#include "cli/host/find.h"
#include "dbus/bus-names.h"

/* Limit of instances that a message names. */
#define MESSAGE_INSTANCES 32

static void call_job_free(void *p)
{
        CallJob *job = p;

        g_free(job->result);
        error_info_done(&job->error);
        g_free(job);
}

CallJob *call_job(const Call *call, unsigned i)
{
        g_assert(i < call_n_jobs(call));

        return call->jobs->pdata[i];
}

unsigned call_n_jobs(const Call *call)
{
        return call->jobs ? call->jobs->len : 0;
}

uint32_t call_job_id(const Call *call)
{
        return call_n_jobs(call) > 0 ? call_job(call, 0)->id : 0;
}

static CallJob *call_add_job(Call *call, const char *path)
{
        uint32_t id = job_id_from_path(path);
        CallJob *job;

        if (id == 0)
                return NULL;

        job = g_new0(CallJob, 1);
        job->id = id;
        g_ptr_array_add(call->jobs, job);

        return job;
}

/* True if the job has not ended yet. */
bool call_job_waits(const Call *call, const CallJob *job)
{
        return !call->done && !job->done;
}

CallJob *call_find_waiting(const Call *call, uint32_t id)
{
        for (unsigned i = 0; i < call_n_jobs(call); i++)
                if (call_job(call, i)->id == id && call_job_waits(call, call_job(call, i)))
                        return call_job(call, i);

        return NULL;
}

bool call_waits(const Call *call)
{
        for (unsigned i = 0; i < call_n_jobs(call); i++)
                if (call_job_waits(call, call_job(call, i)))
                        return true;

        return false;
}

/* Use the error of the first failed job, and add the numbers of all failed jobs. */
void call_collect_error(Call *call)
{
        g_assert(!call->error.name);

        for (unsigned i = 0; i < call_n_jobs(call); i++) {
                CallJob *job = call_job(call, i);

                if (!job->error.name)
                        continue;

                if (!call->error.name) {
                        error_info_copy(&call->error, &job->error);
                        continue;
                }

                error_info_add_job(&call->error, job->id);
                call->error.n_failures += job->error.n_failures;
        }
}

void error_add_instances(ErrorInfo *e, const JobInfo *info)
{
        for (char **p = info ? info->instances : NULL; p && *p; p++) {
                char *uuid = uuid_from_path(*p);

                if (uuid)
                        error_info_add_instance(e, uuid);
        }
}

/* The daemon has the same error for a call with the option "wait", with another message. */
void call_job_set_stuck(CallJob *job, const JobInfo *info, uint64_t job_timeout_usec)
{
        g_autofree char *message = NULL;

        g_assert(!job->done);

        message = info ? g_strdup_printf("GPU %s: job %" G_GUINT32_FORMAT
                                         " (%s) has been blocked in the kernel for %" G_GUINT64_FORMAT
                                         " s and may still succeed or fail",
                                         info->gpu_name, job->id, info->kind, job_timeout_usec / USEC_PER_SEC)
                       : g_strdup_printf("job %" G_GUINT32_FORMAT
                                         " has been blocked in the kernel for too long and may still succeed or fail",
                                         job->id);
        error_info_set(&job->error, VGPUD_ERROR_GPU_STUCK, message);
        error_info_add_job(&job->error, job->id);
        error_add_instances(&job->error, info);
        job->result = g_strdup("failed");
        job->done = true;
}

static char *timeout_instances(const ErrorInfo *e, uint32_t n_instances)
{
        GString *s = g_string_new(NULL);
        unsigned n = e->instances ? MIN(e->instances->len, MESSAGE_INSTANCES) : 0;

        for (unsigned i = 0; i < n; i++)
                g_string_append_printf(s, "%s%s", i > 0 ? ", " : " (", (const char *)e->instances->pdata[i]);
        if (n > 0 && n_instances > n)
                g_string_append_printf(s, " and %" G_GUINT32_FORMAT " more", n_instances - n);
        if (n > 0)
                g_string_append_c(s, ')');

        return g_string_free(s, false);
}

/* The daemon has the same error for a call with the option timeout_usec, with another message. */
void call_set_timeout(Call *call, const Host *jobs, uint64_t usec)
{
        g_autofree char *limit = NULL, *instances = NULL, *message = NULL, *hint = NULL;
        uint32_t n_instances = 0;
        ErrorInfo e = { 0 };

        g_assert(!call->error.name);

        for (unsigned i = 0; i < call_n_jobs(call); i++) {
                const JobInfo *info = jobs ? host_find_job(jobs, call_job(call, i)->id) : NULL;

                if (call_job(call, i)->done)
                        continue;

                error_info_add_job(&e, call_job(call, i)->id);
                error_add_instances(&e, info);
                n_instances += info ? info->n_instances : 0;
        }

        g_assert(e.job != 0);

        limit = usec % USEC_PER_SEC == 0 ? g_strdup_printf("%" G_GUINT64_FORMAT " s", usec / USEC_PER_SEC)
                                         : g_strdup_printf("%" G_GUINT64_FORMAT " ms", usec / USEC_PER_MSEC);
        instances = timeout_instances(&e, n_instances);
        message = g_strdup_printf("job %" G_GUINT32_FORMAT " did not end within %s and goes on%s", e.job, limit,
                                  instances);
        hint = g_strdup_printf("wait for it with \"vgpuctl wait job %" G_GUINT32_FORMAT "\"", e.job);
        error_info_set(&e, VGPUD_ERROR_TIMEOUT, message);
        error_info_set_hint(&e, VGPUD_HINT_WAIT_FOR_JOB, hint);
        call->error = e;
}

void call_job_set_ended(CallJob *job, const JobInfo *info)
{
        g_assert(!job->done);

        job->done = true;

        job->result = g_strdup(info->result);
        if (strcmp(info->result, "done") != 0)
                call_error_set_job(&job->error, info);
}

static int call_read_job_info(Call *call, sd_bus_message *answer)
{
        _cleanup_host_ Host *h = host_new();
        CallJob *job;
        JobInfo *info;
        int r;

        r = host_read_job(h, VGPUD_PATH_JOB, answer, &info);
        if (r < 0)
                return r;

        if (info->id == 0)
                return -EBADMSG;

        job = g_new0(CallJob, 1);
        job->id = info->id;
        g_ptr_array_add(call->jobs, job);

        if (strcmp(info->state, "ended") == 0)
                call_job_set_ended(job, info);

        return 0;
}

int call_read_answer(Call *call, sd_bus_message *answer)
{
        const char *path;
        int r;

        if (!call->jobs)
                call->jobs = g_ptr_array_new_with_free_func(call_job_free);

        if (call->kind == CALL_NO_JOB)
                return 0;

        if (call->kind == CALL_GET_JOB)
                return call_read_job_info(call, answer);

        if (call->kind == CALL_INSTANCE_JOB) {
                r = sd_bus_message_read(answer, "v", "o", &path);
                if (r >= 0)
                        (void)call_add_job(call, path); /* "/": no job works on the instance */
                return r;
        }

        if (call->kind == CALL_JOB) {
                r = sd_bus_message_read_basic(answer, 'o', &path);
                return r < 0 ? r : call_add_job(call, path) ? 0 : -EBADMSG;
        }

        r = sd_bus_message_enter_container(answer, 'a', "o");
        while (r >= 0 && (r = sd_bus_message_read_basic(answer, 'o', &path)) > 0)
                if (!call_add_job(call, path))
                        return -EBADMSG;

        return r < 0 ? r : call->jobs->len == 0 ? -EBADMSG : 0;
}

void calls_done(Call *calls, size_t n_calls)
{
        for (size_t i = 0; i < n_calls; i++) {
                sd_bus_message_unref(calls[i].message);
                sd_bus_message_unref(calls[i].answer);
                g_free(calls[i].path);
                g_clear_pointer(&calls[i].jobs, g_ptr_array_unref);
                error_info_done(&calls[i].error);
        }

        g_free(calls);
}
