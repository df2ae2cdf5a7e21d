/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "cli/client/progress.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/client/call-error.h"
#include "cli/host/find.h"
#include "cli/host/job-kinds.h"
#include "cli/output/format.h"
#include "cli/output/terminal.h"

void progress_clear(Progress *p)
{
        if (!p->shown)
                return;

        (void)fputs("\r\033[K", stderr);
        p->shown = false;
}

void progress_show(Progress *p, const char *text)
{
        unsigned columns = terminal_columns(STDERR_FILENO);
        g_autofree char *printable = format_printable(text);
        g_autofree char *cut = text_fit(printable, columns > 1 ? columns - 1 : 79);

        (void)fprintf(stderr, "\r\033[K%s", cut);
        (void)fflush(stderr);
        p->shown = true;
}

static char *progress_since(uint64_t usec)
{
        char *age = format_age(usec);

        return age ? age : g_strdup("0 s");
}

static char *progress_describe_running(const JobInfo *job, uint64_t timeout_usec)
{
        g_autofree char *object = job_object(job), *since = progress_since(job->started_usec);
        g_autofree char *most = timeout_usec != 0 ? format_duration(timeout_usec) : NULL;
        bool stuck = strcmp(job->state, "stuck") == 0;

        return g_strdup_printf("job %" G_GUINT32_FORMAT " %s %s, for %s now%s%s", job->id, job_doing(job),
                               object ? object : "?", since,
                               !most   ? ""
                               : stuck ? ", longer than allowed: "
                                       : ", at most ",
                               most ? most : "");
}

char *progress_describe(const Host *h, const JobInfo *job, uint64_t timeout_usec)
{
        g_autofree char *waited = NULL;
        const JobInfo *first = NULL;
        unsigned before = 0;
        GString *s;

        g_assert(host_find_job(h, job->id) == job);

        if (strcmp(job->state, "waiting") != 0)
                return progress_describe_running(job, timeout_usec);

        for (unsigned i = 0; i < host_n(h, OBJECT_JOB); i++) {
                const JobInfo *other = host_job(h, i);

                if (other->id >= job->id || strcmp(other->gpu, job->gpu) != 0)
                        continue;

                before++;
                if (strcmp(other->state, "waiting") != 0)
                        first = other;
        }

        waited = progress_since(job->created_usec);
        s = g_string_new(NULL);
        g_string_append_printf(s, "job %" G_GUINT32_FORMAT " waits for %s, for %s now; %u before it", job->id,
                               job->gpu_name, waited, before);

        if (first) {
                g_autofree char *text = progress_describe_running(first, 0);

                g_string_append_printf(s, ": %s", text);
        }

        return g_string_free(s, false);
}

static void progress_say_goes_on(const Arguments *a, const Host *h, uint32_t id, uint64_t timeout_usec)
{
        const char *host = a->host;
        const JobInfo *job = h ? host_find_job(h, id) : NULL;
        g_autofree char *text = job ? progress_describe(h, job, timeout_usec)
                                    : g_strdup_printf("job %" G_GUINT32_FORMAT, id);
        g_autofree char *printable = format_printable(text);
        g_autofree char *where = host ? g_strdup_printf(" -H %s", host) : g_strdup("");

        g_assert(id > 0);

        (void)fprintf(stderr, "vgpuctl: Interrupted, but the job goes on%s%s: %s.\n", host ? " at " : "",
                      host ? host : "", printable);

        if (job && strcmp(job->state, "waiting") == 0)
                (void)fprintf(stderr,
                              "Hint: \"vgpuctl%s cancel %" G_GUINT32_FORMAT
                              "\" takes the job out of the queue.\n",
                              where, id);
        else
                (void)fprintf(stderr, "Hint: \"vgpuctl%s wait job %" G_GUINT32_FORMAT "\" waits for the end.\n",
                              where, id);
}

/* `jobs` is true if the calls queue jobs. */
static void progress_say_unanswered(const Arguments *a, bool unasked, bool jobs, size_t n)
{
        const char *host = a->host;

        if (unasked)
                (void)fprintf(stderr, "vgpuctl: Interrupted before %s was asked; %s.\n", host ? host : "vgpud",
                              jobs ? "no job was queued" : "nothing was changed");
        else if (!jobs)
                (void)fprintf(stderr,
                              "vgpuctl: Interrupted before the answer to %zu call%s, which may wait for permission or have been done.\nHint: \"vgpuctl%s%s list --all\" lists the definitions.\n",
                              n, n > 1 ? "s" : "", host ? " -H " : "", host ? host : "");
        else
                (void)fprintf(stderr,
                              "vgpuctl: Interrupted before the answer to %zu call%s, which may wait for permission or have queued a job.\nHint: \"vgpuctl%s%s jobs\" lists the jobs.\n",
                              n, n > 1 ? "s" : "", host ? " -H " : "", host ? host : "");
}

void progress_say_goodbye_json(const Arguments *a, const Host *h, Call *calls, size_t n_calls, int status)
{
        _cleanup_error_info_ ErrorInfo e = { .status = status };

        call_error_set(&e, "vgpuctl.Interrupted", "Interrupted; the jobs go on");

        for (size_t i = 0; i < n_calls; i++)
                for (unsigned n = 0; n < call_n_jobs(&calls[i]); n++) {
                        const CallJob *job = call_job(&calls[i], n);

                        if (!call_job_waits(&calls[i], job))
                                continue;

                        error_info_add_job(&e, job->id);
                        error_add_instances(&e, h ? host_find_job(h, job->id) : NULL);
                }

        (void)error_info_print(a, &e, NULL);
}

void progress_say_goodbye(const Arguments *a, const Host *h, const Call *calls, size_t n_calls, bool unasked,
                          uint64_t timeout_usec)
{
        size_t n_unsent = 0, n_unanswered = 0;

        for (size_t i = 0; i < n_calls; i++) {
                const Call *call = &calls[i];

                n_unsent += !call->sent;
                n_unanswered += call->sent && !call->done && call_n_jobs(call) == 0;

                for (unsigned n = 0; n < call_n_jobs(call); n++)
                        if (call_job_waits(call, call_job(call, n)))
                                progress_say_goes_on(a, h, call_job(call, n)->id, timeout_usec);
        }

        if (n_unanswered > 0)
                progress_say_unanswered(a, unasked, calls[0].kind != CALL_NO_JOB, n_unanswered);
        if (n_unsent > 0)
                (void)fprintf(stderr, "vgpuctl: %zu call%s not sent.\n", n_unsent,
                              n_unsent > 1 ? "s were" : " was");
}
