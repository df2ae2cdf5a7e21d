/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "cli/client/wait.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-event.h>

#include "cli/host/host-find.h"
#include "cli/host/job-kinds.h"
#include "cli/output/errors.h"
#include "cli/output/format.h"
#include "cli/output/json.h"
#include "cli/output/terminal.h"
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

/* Its job is known, and has not ended. */
static bool call_waits(const Call *call)
{
        return call->job != 0 && !call->done;
}

/* What was last heard of the job of this call; NULL: nothing yet. */
static JobInfo *call_job(const Waiter *w, const Call *call)
{
        return w->host && call_waits(call) ? host_find_job(w->host, call->job) : NULL;
}

/* The first job of ours that is known. */
static JobInfo *first_job(const Waiter *w)
{
        JobInfo *job = NULL;

        for (size_t i = 0; i < w->n_calls && !job; i++)
                job = call_job(w, &w->calls[i]);

        return job;
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
        const JobInfo *job = first_job(w);
        g_autofree char *text = NULL, *line = NULL;

        /* No job: it is about to begin or to end, or a password is being asked for, and then the terminal is
         * not ours. */
        if (!job) {
                line_clear(w);
                return;
        }

        text = job_describe(w, job);
        if (w->n_calls > 1)
                line = g_strdup_printf("%zu of %zu done: %s", w->n_done, w->n_calls, text);
        line_show(w, line ? line : text);
}

static int send_calls(Waiter *w);

/* The answer is an error, or the job has ended. */
static int call_end(Call *call)
{
        Waiter *w = call->waiter;
        int r;

        call->done = true;
        w->n_done++;
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

/* Nobody will tell how this goes on. */
static int calls_lost(Waiter *w, const char *name, const char *message)
{
        int r = 0;

        if (w->signal != 0) /* who does not want to wait is told which jobs go on */
                return sd_event_exit(w->event, 0);

        for (size_t i = 0; i < w->n_calls && r >= 0; i++)
                if (call_waits(&w->calls[i])) {
                        (void)sd_bus_error_set(&w->calls[i].error, name, message);
                        r = call_end(&w->calls[i]);
                }

        return r;
}

/* As the daemon tells those who call with "wait". */
static int call_end_stuck(Call *call)
{
        const JobInfo *job = call_job(call->waiter, call);
        g_autofree char *message = NULL;

        message = job ? g_strdup_printf("GPU %s: job %" G_GUINT32_FORMAT
                                        " (%s) has not come back from the kernel for %" G_GUINT64_FORMAT
                                        " s; what it was to do may still happen, or not",
                                        job->gpu, job->id, job->kind, job->timeout_usec / USEC_PER_SEC)
                      : g_strdup_printf("job %" G_GUINT32_FORMAT
                                        " has not come back from the kernel in time; what it was to do may still happen, or not",
                                        call->job);
        (void)sd_bus_error_set(&call->error, vgpud_error_code_to_dbus(VGPUD_ERROR_GPU_STUCK), message);

        return call_end(call);
}

static int on_host(sd_bus_message *answer, void *userdata, sd_bus_error *reterr)
{
        _cleanup_host_ Host *h = host_new();
        Waiter *w = userdata;
        int r = 0;

        w->question = sd_bus_slot_unref(w->question);

        if (!sd_bus_message_is_method_error(answer, NULL) && host_read(h, answer) >= 0) {
                w->host = host_free(w->host);
                w->host = g_steal_pointer(&h);
        }

        if (w->signal != 0)
                return sd_event_exit(w->event, 0);

        for (size_t i = 0; i < w->n_calls && r >= 0; i++)
                if (w->calls[i].stuck && call_waits(&w->calls[i]))
                        r = call_end_stuck(&w->calls[i]);

        if (w->show && w->n_done < w->n_calls)
                show_progress(w);

        return r;
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
        const JobInfo *job = first_job(w);

        return job && w->n_calls == 1 && strcmp(job->state, "running") == 0;
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
        bool again = w->signal != 0;

        w->signal = (int)si->ssi_signo;

        /* The second one means it, and without a connection there is nobody to ask. Attached, the bus would be
         * flushed at the end of the loop, which waits for a connection. */
        if (again || sd_bus_is_ready(w->client->bus) <= 0) {
                (void)sd_bus_detach_event(w->client->bus);
                return sd_event_exit(w->event, 0);
        }

        w->question = sd_bus_slot_unref(w->question);
        if (ask_host(w, FAREWELL_USEC) < 0)
                return sd_event_exit(w->event, 0);

        return 0;
}

static int on_answer(sd_bus_message *answer, void *userdata, sd_bus_error *reterr)
{
        Call *call = userdata;
        Waiter *w = call->waiter;
        const char *path;

        if (sd_bus_message_is_method_error(answer, NULL)) {
                if (w->signal != 0 && sd_bus_is_ready(w->client->bus) <= 0)
                        return sd_event_exit(w->event, 0);

                (void)sd_bus_error_copy(&call->error, sd_bus_message_get_error(answer));
                return call_end(call);
        }

        call->answer = sd_bus_message_ref(answer);
        if (sd_bus_message_read_basic(answer, 'o', &path) > 0)
                call->job = job_id_from_path(path);
        (void)sd_bus_message_rewind(answer, true);
        if (call->job == 0) {
                (void)sd_bus_error_set(&call->error, SD_BUS_ERROR_INVALID_SIGNATURE, "its answer is no job");
                return call_end(call);
        }

        return w->client->args->block ? 0 : call_end(call);
}

static Call *find_call(Waiter *w, uint32_t job)
{
        for (size_t i = 0; i < w->n_calls; i++)
                if (w->calls[i].job == job && call_waits(&w->calls[i]))
                        return &w->calls[i];

        return NULL;
}

static int on_job_removed(sd_bus_message *signal, void *userdata, sd_bus_error *reterr)
{
        const char *path, *result, *error, *message;
        Waiter *w = userdata;
        uint32_t id;
        Call *call;

        if (sd_bus_message_read(signal, "uosss", &id, &path, &result, &error, &message) < 0)
                return 0;

        call = find_call(w, id);
        if (!call)
                return 0;

        if (strcmp(result, "done") != 0)
                (void)sd_bus_error_set(&call->error, *error ? error : SD_BUS_ERROR_FAILED, message);

        return call_end(call);
}

/* A job that is past its deadline is not waited for: it may last for ever. What there is to say about it is
 * asked first. */
static int on_job_changed(sd_bus_message *signal, void *userdata, sd_bus_error *reterr)
{
        Waiter *w = userdata;
        Call *call = find_call(w, job_id_from_path(sd_bus_message_get_path(signal)));
        int r;

        if (!call)
                return 0;

        r = sd_bus_message_skip(signal, "s");
        if (r >= 0)
                r = sd_bus_message_enter_container(signal, 'a', "{sv}");
        while (r >= 0 && (r = sd_bus_message_enter_container(signal, 'e', "sv")) > 0) {
                const char *key, *state = "";

                r = sd_bus_message_read_basic(signal, 's', &key);
                if (r >= 0 && strcmp(key, "State") == 0)
                        r = sd_bus_message_read(signal, "v", "s", &state);
                else if (r >= 0)
                        r = sd_bus_message_skip(signal, "v");
                if (r >= 0)
                        r = sd_bus_message_exit_container(signal);
                call->stuck = call->stuck || strcmp(state, "stuck") == 0;
        }

        return call->stuck ? ask_host(w, 5 * USEC_PER_SEC) : 0;
}

/* Calls that have no answer are told by the bus itself. */
static int on_owner(sd_bus_message *signal, void *userdata, sd_bus_error *reterr)
{
        const char *name, *before;

        if (sd_bus_message_read(signal, "ss", &name, &before) < 0 || !*before)
                return 0;

        return calls_lost(userdata, SD_BUS_ERROR_NO_REPLY,
                          "it has left the bus; what runs already will be finished by the kernel");
}

static int on_disconnected(sd_bus_message *signal, void *userdata, sd_bus_error *reterr)
{
        return calls_lost(userdata, SD_BUS_ERROR_DISCONNECTED, "the connection has gone; the job may go on");
}

/* How a job ends is told by signals, to be ordered before it can have begun: the bus does one after the other.
 */
static int watch_jobs(Waiter *w)
{
        sd_bus *bus = w->client->bus;
        int r;

        r = sd_bus_match_signal_async(bus, NULL, VGPUD_BUS_NAME, VGPUD_PATH_ROOT, VGPUD_INTERFACE_MANAGER,
                                      "JobRemoved", on_job_removed, NULL, w);
        if (r >= 0)
                r = sd_bus_add_match_async(
                                bus, NULL,
                                "type='signal',sender='" VGPUD_BUS_NAME
                                "',interface='org.freedesktop.DBus.Properties',member='PropertiesChanged',path_namespace='" VGPUD_PATH_JOB
                                "'",
                                on_job_changed, NULL, w);
        if (r >= 0)
                r = sd_bus_add_match_async(
                                bus, NULL,
                                "type='signal',sender='org.freedesktop.DBus',interface='org.freedesktop.DBus',member='NameOwnerChanged',arg0='" VGPUD_BUS_NAME
                                "'",
                                on_owner, NULL, w);
        if (r >= 0)
                r = sd_bus_match_signal_async(bus, NULL, "org.freedesktop.DBus.Local",
                                              "/org/freedesktop/DBus/Local", "org.freedesktop.DBus.Local",
                                              "Disconnected", on_disconnected, NULL, w);

        return r;
}

static int send_calls(Waiter *w)
{
        while (w->n_sent < w->n_calls && w->n_sent - w->n_done < w->n_allowed) {
                Call *call = &w->calls[w->n_sent++];
                int r;

                call->waiter = w;
                call->sent = true;

                /* A person may be typing a password. */
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

static void say_job_goes_on(const Waiter *w, const Call *call)
{
        const char *host = w->client->args->host;
        const JobInfo *job = call_job(w, call);
        g_autofree char *text = job ? job_describe(w, job)
                                    : g_strdup_printf("job %" G_GUINT32_FORMAT, call->job),
                        *printable = format_printable(text),
                        *where = host ? g_strdup_printf(" -H %s", host) : g_strdup("");

        (void)fprintf(stderr, "vgpuctl: Interrupted, but the job goes on%s%s: %s.\n", host ? " at " : "",
                      host ? host : "", printable);

        if (job && strcmp(job->state, "waiting") == 0)
                (void)fprintf(stderr,
                              "         \"vgpuctl%s cancel %" G_GUINT32_FORMAT
                              "\" takes it out of the queue.\n",
                              where, call->job);
        else
                (void)fprintf(stderr,
                              "         \"vgpuctl%s show job %" G_GUINT32_FORMAT
                              "\" tells about it; nothing can call the kernel back.\n",
                              where, call->job);
}

static void say_unanswered(const Waiter *w, size_t n)
{
        const char *host = w->client->args->host;

        if (sd_bus_is_ready(w->client->bus) <= 0 && sd_bus_is_open(w->client->bus) > 0)
                (void)fprintf(stderr, "vgpuctl: Interrupted before %s could be asked; nothing was begun.\n",
                              host ? host : "vgpud");
        else
                (void)fprintf(stderr,
                              "vgpuctl: Interrupted before the answer to %zu call%s: it waits for permission, or has just ended, or goes on.\n"
                              "         \"vgpuctl%s%s jobs\" lists what goes on.\n",
                              n, n > 1 ? "s" : "", host ? " -H " : "", host ? host : "");
}

/* Say what goes on without us. */
static int say_goodbye(Waiter *w)
{
        const Arguments *a = w->client->args;
        size_t n_unsent = w->n_calls - w->n_sent, n_unanswered = 0;
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

                for (size_t i = 0; i < w->n_calls; i++)
                        if (call_waits(&w->calls[i]))
                                json_u64(&j, NULL, w->calls[i].job);

                json_array_end(&j);
                json_object_end(&j);
                json_object_end(&j);
                json_print(&j, stderr);
                return status;
        }

        for (size_t i = 0; i < w->n_calls; i++) {
                n_unanswered += w->calls[i].sent && !w->calls[i].done && w->calls[i].job == 0;
                if (call_waits(&w->calls[i]))
                        say_job_goes_on(w, &w->calls[i]);
        }

        if (n_unanswered > 0)
                say_unanswered(w, n_unanswered);
        if (n_unsent > 0)
                (void)fprintf(stderr, "vgpuctl: %zu more were not begun.\n", n_unsent);

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

        /* After signals: a connection that ends by the same one is no failure. */
        r = sd_bus_attach_event(w->client->bus, w->event, SD_EVENT_PRIORITY_NORMAL + 1);
        if (r < 0)
                return r;

        if (w->client->args->block) {
                r = watch_jobs(w);
                if (r < 0)
                        return r;
        }

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
