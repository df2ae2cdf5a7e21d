/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "cli/wait.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-event.h>

#include "dbus/bus-names.h"

/* So many calls are on their way at a time; the first goes alone, so that a password is asked for once. */
#define CALLS_AT_A_TIME 16
/* What lasts shorter is not worth a line. */
#define QUIET_USEC USEC_PER_SEC
#define TICK_USEC  USEC_PER_SEC
/* How long a user who pressed Ctrl-C waits to learn the number of the job. */
#define FAREWELL_USEC (2 * USEC_PER_SEC)

typedef struct Waiter {
        Client *client;
        sd_event *event;
        Call *calls;
        size_t n_calls;
        size_t n_sent;
        size_t n_done;
        size_t n_allowed; /* at a time */
        CallFinished finished;
        void *userdata;

        bool show;  /* the line is wanted */
        bool shown; /* it stands there now */
        Host *host; /* owned; what was last asked; NULL: not yet */
        unsigned ticks;
        sd_bus_slot *question; /* owned; asks for the host */
        sd_event_source *tick;
        int signal; /* 0: none */
        int status; /* waiting itself failed */
} Waiter;

static void line_clear(Waiter *w)
{
        if (!w->shown)
                return;
        (void)fputs("\r\033[K", stderr);
        w->shown = false;
}

static void line_show(Waiter *w, const char *text)
{
        unsigned columns = terminal_columns(STDERR_FILENO);
        g_autofree char *printable = format_printable(text),
                        *cut = text_fit(printable, columns > 1 ? columns - 1 : 79);

        (void)fprintf(stderr, "\r\033[K%s", cut);
        (void)fflush(stderr);
        w->shown = true;
}

/* The jobs of calls that have been sent and not been answered. */
static GPtrArray *own_jobs(const Waiter *w)
{
        GPtrArray *jobs = g_ptr_array_new();

        for (unsigned i = 0; w->host && i < host_n(w->host, OBJECT_JOB); i++) {
                JobInfo *job = host_job(w->host, i);

                for (size_t n = 0; n < w->n_calls; n++)
                        if (w->calls[n].sent && !w->calls[n].done &&
                            w->calls[n].owns_job(&w->calls[n], w->host, job)) {
                                g_ptr_array_add(jobs, job);
                                break;
                        }
        }
        return jobs;
}

static const char *job_doing(const JobInfo *job)
{
        return strcmp(job->kind, "create") == 0      ? "makes"
               : strcmp(job->kind, "destroy") == 0   ? "removes"
               : strcmp(job->kind, "rescan") == 0    ? "looks at"
               : strcmp(job->kind, "set-vfs") == 0   ? job->vfs > 0 ? "enables" : "disables"
               : strcmp(job->kind, "configure") == 0 ? "sets"
                                                     : "works on";
}

static char *job_object(const JobInfo *job)
{
        unsigned n = g_strv_length(job->instances);

        if (strcmp(job->kind, "create") == 0)
                return n > 1 ? g_strdup_printf("%u of %s on %s", n, job->type, job->gpu)
                             : g_strdup_printf("%s on %s", job->type, job->gpu);
        if (strcmp(job->kind, "destroy") == 0 && n == 1)
                return uuid_from_path(job->instances[0]);
        if (strcmp(job->kind, "set-vfs") == 0)
                return job->vfs > 0 ? g_strdup_printf("%" G_GUINT32_FORMAT " virtual functions of %s", job->vfs,
                                                      job->gpu)
                                    : g_strdup_printf("the virtual functions of %s", job->gpu);
        if (strcmp(job->kind, "configure") == 0)
                return g_strdup_printf("%s of %s to %s", job->mode, job->gpu, job->value);
        return g_strdup(job->gpu);
}

static char *job_describe(const Waiter *w, const JobInfo *job)
{
        g_autofree char *object = job_object(job), *waited = NULL;
        const JobInfo *first = NULL;
        GString *s;
        unsigned before = 0;

        if (strcmp(job->state, "waiting") != 0) {
                g_autofree char *since = format_age(job->started_usec),
                                *most = format_duration(job->timeout_usec);

                return g_strdup_printf("job %" G_GUINT32_FORMAT " %s %s, for %s now, %s%s", job->id,
                                       job_doing(job), object ? object : "?", since ? since : "0 s",
                                       strcmp(job->state, "stuck") == 0 ? "longer than allowed: " : "may take ",
                                       most);
        }
        for (unsigned i = 0; i < host_n(w->host, OBJECT_JOB); i++) {
                const JobInfo *other = host_job(w->host, i);

                if (other->id < job->id && strcmp(other->gpu, job->gpu) == 0) {
                        before++;
                        if (strcmp(other->state, "waiting") != 0)
                                first = other;
                }
        }
        waited = format_age(job->created_usec);
        s = g_string_new(NULL);
        g_string_append_printf(s, "job %" G_GUINT32_FORMAT " waits for %s, for %s now; %u before it", job->id,
                               job->gpu, waited ? waited : "0 s", before);
        if (first) {
                g_autofree char *since = format_age(first->started_usec), *what = job_object(first);

                g_string_append_printf(s, ": job %" G_GUINT32_FORMAT " %s %s, for %s now", first->id,
                                       job_doing(first), what ? what : "?", since ? since : "0 s");
        }
        return g_string_free(s, false);
}

static void show_progress(Waiter *w)
{
        g_autoptr(GPtrArray) jobs = own_jobs(w);
        g_autofree char *text = NULL, *line = NULL;

        /* No job: it is about to begin or to end, or a password is being asked for, and then the terminal is
         * not ours. */
        if (jobs->len == 0) {
                line_clear(w);
                return;
        }
        text = job_describe(w, jobs->pdata[0]);
        if (w->n_calls > 1)
                line = g_strdup_printf("%zu of %zu done: %s", w->n_done, w->n_calls, text);
        line_show(w, line ? line : text);
}

static int on_host(sd_bus_message *answer, void *userdata, sd_bus_error *reterr)
{
        _cleanup_host_ Host *h = host_new();
        Waiter *w = userdata;

        w->question = sd_bus_slot_unref(w->question);
        if (!sd_bus_message_is_method_error(answer, NULL) && host_read(h, answer) >= 0) {
                w->host = host_free(w->host);
                w->host = g_steal_pointer(&h);
        }
        if (w->signal != 0)
                return sd_event_exit(w->event, 0);
        if (w->show)
                show_progress(w);
        return 0;
}

static int ask_host(Waiter *w, uint64_t timeout_usec)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        int r;

        if (w->question)
                return 0;
        r = sd_bus_message_new_method_call(w->client->bus, &m, VGPUD_BUS_NAME, VGPUD_PATH_ROOT,
                                           "org.freedesktop.DBus.ObjectManager", "GetManagedObjects");
        if (r < 0)
                return r;
        return sd_bus_call_async(w->client->bus, &w->question, m, on_host, w, timeout_usec);
}

/* True while the last answer says that a job of ours has begun: then only the clock changes until it ends. */
static bool nothing_new(const Waiter *w)
{
        g_autoptr(GPtrArray) jobs = own_jobs(w);

        return jobs->len > 0 && w->n_calls == 1 &&
               strcmp(((const JobInfo *)jobs->pdata[0])->state, "running") == 0;
}

static int on_tick(sd_event_source *source, uint64_t usec, void *userdata)
{
        Waiter *w = userdata;
        int r;

        if (nothing_new(w) && w->ticks++ % 8 != 7)
                show_progress(w);
        else if ((r = ask_host(w, 5 * USEC_PER_SEC)) < 0)
                return r;
        r = sd_event_source_set_time(source, usec + TICK_USEC);
        return r < 0 ? r : sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static int on_interrupt(sd_event_source *source, const struct signalfd_siginfo *si, void *userdata)
{
        Waiter *w = userdata;

        /* The second one means it. */
        if (w->signal != 0)
                return sd_event_exit(w->event, 0);
        w->signal = (int)si->ssi_signo;
        w->question = sd_bus_slot_unref(w->question);
        if (ask_host(w, FAREWELL_USEC) < 0)
                return sd_event_exit(w->event, 0);
        return 0;
}

static int send_calls(Waiter *w);

static int on_answer(sd_bus_message *answer, void *userdata, sd_bus_error *reterr)
{
        Call *call = userdata;
        Waiter *w = call->waiter;
        int r;

        call->done = true;
        w->n_done++;
        if (sd_bus_message_is_method_error(answer, NULL))
                (void)sd_bus_error_copy(&call->error, sd_bus_message_get_error(answer));
        else
                call->answer = sd_bus_message_ref(answer);
        line_clear(w);
        if (w->finished)
                w->finished(call, w->userdata);
        if (w->n_done == w->n_calls)
                return sd_event_exit(w->event, 0);
        w->n_allowed = CALLS_AT_A_TIME;
        r = w->signal != 0 ? 0 : send_calls(w);
        if (r < 0) {
                w->status = fail(w->client->args, VGPUD_ERROR_FAILED, NULL, "Could not send a call: %s",
                                 strerror(-r));
                return sd_event_exit(w->event, 0);
        }
        return 0;
}

static int send_calls(Waiter *w)
{
        while (w->n_sent < w->n_calls && w->n_sent - w->n_done < w->n_allowed) {
                Call *call = &w->calls[w->n_sent++];
                int r;

                call->waiter = w;
                call->sent = true;
                /* Jobs have deadlines of their own, and a person may be typing a password. */
                r = sd_bus_call_async(w->client->bus, NULL, call->message, on_answer, call, UINT64_MAX);
                if (r == -ENOTCONN || r == -ECONNRESET || r == -EPIPE) {
                        /* The bus has gone with an earlier call: this one has failed like it. */
                        call->done = true;
                        w->n_done++;
                        (void)sd_bus_error_set_errno(&call->error, r);
                        if (w->finished)
                                w->finished(call, w->userdata);
                        if (w->n_done == w->n_calls)
                                return sd_event_exit(w->event, 0);
                } else if (r < 0)
                        return r;
        }
        return 0;
}

/* Say what goes on without us. */
static int say_goodbye(Waiter *w)
{
        g_autoptr(GPtrArray) jobs = own_jobs(w);
        const Arguments *a = w->client->args;
        size_t unsent = w->n_calls - w->n_sent;
        int status = 128 + w->signal;

        line_clear(w);
        (void)fflush(stdout);
        if (a->json) {
                Json j = json_new(true);

                json_object(&j, NULL);
                json_object(&j, "error");
                json_string(&j, "name", "vgpuctl.Interrupted");
                json_string(&j, "message", "Interrupted; the jobs go on");
                json_null(&j, "hint");
                json_null(&j, "object");
                json_u64(&j, "exit_status", (uint64_t)status);
                json_array(&j, "jobs");
                for (unsigned i = 0; i < jobs->len; i++)
                        json_u64(&j, NULL, ((const JobInfo *)jobs->pdata[i])->id);
                json_array_end(&j);
                json_object_end(&j);
                json_object_end(&j);
                json_print(&j, stderr);
                return status;
        }
        if (jobs->len == 0)
                (void)fprintf(stderr, "vgpuctl: Interrupted. No job of this call was found: it has just ended, "
                                      "or waited for permission.\n");
        for (unsigned i = 0; i < jobs->len; i++) {
                const JobInfo *job = jobs->pdata[i];
                g_autofree char *text = job_describe(w, job), *printable = format_printable(text);
                bool waits = strcmp(job->state, "waiting") == 0;

                (void)fprintf(stderr, "vgpuctl: Interrupted, but the job goes on: %s.\n", printable);
                if (waits)
                        (void)fprintf(stderr,
                                      "         \"vgpuctl cancel %" G_GUINT32_FORMAT
                                      "\" takes it out of the queue.\n",
                                      job->id);
                else
                        (void)fprintf(stderr,
                                      "         \"vgpuctl show job %" G_GUINT32_FORMAT
                                      "\" tells about it; nothing can call the kernel back.\n",
                                      job->id);
        }
        if (unsent > 0)
                (void)fprintf(stderr, "vgpuctl: %zu more were not begun.\n", unsent);
        return status;
}

static int waiter_run(Waiter *w)
{
        static const int signals[] = { SIGINT, SIGTERM };
        sigset_t blocked;
        int r;

        r = sd_event_new(&w->event);
        if (r < 0)
                return r;
        (void)sigemptyset(&blocked);
        for (size_t i = 0; i < G_N_ELEMENTS(signals); i++)
                (void)sigaddset(&blocked, signals[i]);
        if (sigprocmask(SIG_BLOCK, &blocked, NULL) < 0)
                return -errno;
        for (size_t i = 0; i < G_N_ELEMENTS(signals); i++) {
                r = sd_event_add_signal(w->event, NULL, signals[i], on_interrupt, w);
                if (r < 0)
                        return r;
        }
        if (w->show) {
                r = sd_event_add_time_relative(w->event, &w->tick, CLOCK_MONOTONIC, QUIET_USEC,
                                               USEC_PER_SEC / 10, on_tick, w);
                if (r < 0)
                        return r;
        }
        r = sd_bus_attach_event(w->client->bus, w->event, SD_EVENT_PRIORITY_NORMAL);
        if (r < 0)
                return r;
        r = send_calls(w);
        if (r < 0)
                return r;
        return sd_event_loop(w->event);
}

int calls_run(Client *c, Call *calls, size_t n_calls, CallFinished finished, void *userdata)
{
        Waiter w = {
                .client = c,
                .calls = calls,
                .n_calls = n_calls,
                .n_allowed = 1,
                .finished = finished,
                .userdata = userdata,
                .show = remarks_wanted(c->args),
        };
        int r, status;

        r = waiter_run(&w);
        line_clear(&w);
        if (w.status != 0)
                status = w.status;
        else if (w.n_done == n_calls)
                status = 0;
        else if (w.signal != 0)
                status = say_goodbye(&w);
        else
                status = fail(c->args, VGPUD_ERROR_FAILED, NULL, "Could not wait for vgpud: %s",
                              strerror(r < 0 ? -r : EIO));
        (void)sd_bus_detach_event(c->bus);
        sd_bus_slot_unref(w.question);
        sd_event_source_disable_unref(w.tick);
        sd_event_unref(w.event);
        host_free(w.host);
        return status;
}

void calls_done(Call *calls, size_t n_calls)
{
        for (size_t i = 0; i < n_calls; i++) {
                sd_bus_message_unref(calls[i].message);
                sd_bus_message_unref(calls[i].answer);
                sd_bus_error_free(&calls[i].error);
        }
        g_free(calls);
}
