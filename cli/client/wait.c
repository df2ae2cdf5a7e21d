/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "cli/client/wait.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/client/call-error.h"
#include "cli/client/interrupt.h"
#include "cli/client/listen.h"
#include "cli/client/progress.h"
#include "cli/host/find.h"
#include "cli/host/values.h"
#include "cli/output/format.h"
#include "dbus/bus-names.h"

/* Limit of calls that were sent and have not ended. The first call is sent alone, so that polkit asks for only
 * one password. */
#define CALLS_AT_A_TIME 16
/* Most jobs end within this time. Calls that begin a job subscribe only to the ends of jobs until then. */
#define LISTEN_USEC (300 * USEC_PER_MSEC)
/* A shorter wait needs no line of progress. */
#define QUIET_USEC USEC_PER_SEC
#define TICK_USEC  USEC_PER_SEC
#define ASK_USEC   (5 * USEC_PER_SEC)
/* The longest wait after Ctrl-C for the answer to a last question: which jobs go on. */
#define FAREWELL_USEC (2 * USEC_PER_SEC)

typedef struct Waiter {
        Client *client;
        sd_event *event;
        Call *calls;
        size_t n_calls;
        size_t n_sent;
        size_t n_done;
        size_t n_allowed; /* limit of calls that were sent and have not ended */
        CallFinished finished;
        void *userdata;

        bool show; /* a line of progress is wanted */
        Progress progress;
        Host *host;                /* owned; the jobs as last listed; NULL: not listed yet */
        uint64_t job_timeout_usec; /* 0: not known */
        unsigned ticks;
        sd_bus_slot *question;         /* owned; ListJobs */
        sd_bus_slot *timeout_question; /* owned; JobTimeoutUsec */
        sd_event_source *tick;
        sd_event_source *listen; /* timer: waiter_on_listen() */
        int signal;              /* 0: not interrupted */
        bool unasked;            /* the interruption came before any call was sent */
        int status;              /* the exit status if waiting itself failed */
} Waiter;

static CallJob *waiter_find_job(Waiter *w, uint32_t id, Call **ret_call)
{
        for (size_t i = 0; i < w->n_calls; i++) {
                CallJob *job = call_find_waiting(&w->calls[i], id);

                if (job) {
                        *ret_call = &w->calls[i];
                        return job;
                }
        }

        return NULL;
}

/* The job as last listed; NULL: not listed yet. */
static JobInfo *waiter_job_info(const Waiter *w, uint32_t id)
{
        return w->host ? host_find_job(w->host, id) : NULL;
}

/* ---- progress ---- */

static const JobInfo *waiter_first_job(const Waiter *w)
{
        for (size_t i = 0; i < w->n_calls; i++)
                for (unsigned n = 0; n < call_n_jobs(&w->calls[i]); n++) {
                        const CallJob *job = call_job(&w->calls[i], n);
                        const JobInfo *info =
                                        call_job_waits(&w->calls[i], job) ? waiter_job_info(w, job->id) : NULL;

                        if (info)
                                return info;
                }

        return NULL;
}

static void waiter_show(Waiter *w)
{
        const JobInfo *job = waiter_first_job(w);
        g_autofree char *text = NULL, *line = NULL;
        size_t n = 0, n_done = 0;

        /* If no job is known, polkit may be asking for a password on the terminal. */
        if (!job) {
                progress_clear(&w->progress);
                return;
        }

        for (size_t i = 0; i < w->n_calls; i++) {
                const Call *call = &w->calls[i];

                n += MAX(call_n_jobs(call), 1);

                if (call_n_jobs(call) == 0)
                        n_done += call->done;
                for (unsigned k = 0; k < call_n_jobs(call); k++)
                        n_done += !call_job_waits(call, call_job(call, k));
        }

        text = progress_describe(w->host, job, w->job_timeout_usec);
        if (n > 1)
                line = g_strdup_printf("%zu of %zu done: %s", n_done, n, text);
        progress_show(&w->progress, line ? line : text);
}

/* ---- the end of calls ---- */

/* Detach the bus first: the end of an event loop closes an attached bus, which the verb may need for more
 * calls. */
static int waiter_exit(Waiter *w)
{
        (void)sd_bus_detach_event(w->client->bus);
        return sd_event_exit(w->event, 0);
}

static int waiter_send(Waiter *w);

static int call_end(Call *call)
{
        Waiter *w = call->waiter;
        int r;

        g_assert(!call->done);

        call->done = true;
        call->timer = sd_event_source_disable_unref(call->timer);
        w->n_done++;

        progress_clear(&w->progress);
        if (w->finished)
                w->finished(call, w->userdata);
        if (w->n_done == w->n_calls)
                return waiter_exit(w);

        w->n_allowed = CALLS_AT_A_TIME;
        r = w->signal != 0 ? 0 : waiter_send(w);
        if (r < 0) {
                w->status = client_not_sent(w->client, r);
                return waiter_exit(w);
        }

        return 0;
}

static int call_ask_instance(Call *call);

static int call_end_if_done(Call *call)
{
        bool stuck = false;

        for (unsigned i = 0; i < call_n_jobs(call); i++) {
                const CallJob *job = call_job(call, i);

                if (!job->done)
                        return 0;

                stuck = stuck ||
                        g_strcmp0(job->error.name, vgpud_error_code_to_dbus(VGPUD_ERROR_GPU_STUCK)) == 0;
        }

        /* Ask whether the instance has another job by now. A stuck job is still its job, so do not ask. */
        if (call->kind == CALL_INSTANCE_JOB && call->waiter->signal == 0 && !stuck)
                return call_ask_instance(call);

        call_collect_error(call);

        return call_end(call);
}

/* End the calls that wait, because the connection or the daemon is gone. */
static int waiter_lose_calls(Waiter *w, const char *name, const char *message)
{
        int r = 0;

        if (w->signal != 0) /* the farewell says which jobs go on */
                return waiter_exit(w);

        for (size_t i = 0; i < w->n_calls && r >= 0; i++)
                if (call_waits(&w->calls[i])) {
                        call_error_set(&w->calls[i].error, name, message);
                        r = call_end(&w->calls[i]);
                }

        return r;
}

/* ---- questions ---- */

static int waiter_lose_daemon(Waiter *w)
{
        return waiter_lose_calls(w, SD_BUS_ERROR_NO_REPLY,
                                 "vgpud has left the bus; the kernel finishes a job that has begun");
}

static int waiter_on_jobs(sd_bus_message *answer, void *userdata, sd_bus_error *ret_error)
{
        _cleanup_host_ Host *h = host_new();
        Waiter *w = userdata;
        int r = 0;

        w->question = sd_bus_slot_unref(w->question);
        if (w->signal == 0 && client_is_from_other_daemon(w->client, answer))
                return waiter_lose_daemon(w);

        if (!sd_bus_message_is_method_error(answer, NULL) && host_read_table(h, OBJECT_JOB, answer) >= 0) {
                (void)host_free(w->host);
                w->host = g_steal_pointer(&h);
        } else if (w->signal == 0 && w->listen) {
                /* ListJobs failed. Call it again: no signal reports what happened before the subscription. */
                r = sd_event_source_set_time_relative(w->listen, TICK_USEC);
                if (r >= 0)
                        r = sd_event_source_set_enabled(w->listen, SD_EVENT_ONESHOT);
                if (r < 0)
                        return r;
        }

        if (w->signal != 0)
                return waiter_exit(w);

        for (size_t i = 0; i < w->n_calls && r >= 0; i++) {
                Call *call = &w->calls[i];
                bool stuck = false;

                if (!call_waits(call))
                        continue;

                for (unsigned n = 0; n < call_n_jobs(call); n++) {
                        CallJob *job = call_job(call, n);
                        const JobInfo *info = call_job_waits(call, job) ? waiter_job_info(w, job->id) : NULL;

                        job->stuck = job->stuck || (info && strcmp(info->state, "stuck") == 0);
                        if (!job->stuck || !call_job_waits(call, job))
                                continue;

                        call_job_set_stuck(job, info, w->job_timeout_usec);
                        stuck = true;
                }

                if (call->timed_out && call_waits(call)) {
                        call_set_timeout(call, w->host, w->client->args->timeout_usec);
                        r = call_end(call);
                } else if (stuck)
                        r = call_end_if_done(call);
        }

        if (w->show && w->n_done < w->n_calls)
                waiter_show(w);

        return r;
}

static int waiter_on_job_timeout(sd_bus_message *answer, void *userdata, sd_bus_error *ret_error)
{
        Waiter *w = userdata;

        if (!sd_bus_message_is_method_error(answer, NULL))
                (void)sd_bus_message_read(answer, "v", "t", &w->job_timeout_usec);

        return 0;
}

static int waiter_ask(Waiter *w, uint64_t timeout_usec)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL, *property = NULL;
        int r;

        if (w->question)
                return 0;

        /* Ask for the timeout first, because waiter_on_jobs() needs it: the daemon answers calls in their
         * order. */
        if (!w->timeout_question) {
                r = sd_bus_message_new_method_call(w->client->bus, &property, VGPUD_BUS_NAME, VGPUD_PATH_ROOT,
                                                   "org.freedesktop.DBus.Properties", "Get");
                if (r >= 0)
                        r = sd_bus_message_set_auto_start(property, false);
                if (r >= 0)
                        r = sd_bus_message_append(property, "ss", VGPUD_INTERFACE_MANAGER, "JobTimeoutUsec");
                if (r >= 0)
                        r = sd_bus_call_async(w->client->bus, &w->timeout_question, property,
                                              waiter_on_job_timeout, w, timeout_usec);
                if (r < 0)
                        return r;
        }

        r = sd_bus_message_new_method_call(w->client->bus, &m, VGPUD_BUS_NAME, VGPUD_PATH_ROOT,
                                           VGPUD_INTERFACE_MANAGER, "ListJobs");
        /* If the daemon has gone, the error must come now: starting another daemon may take longer than the
         * time limit of the question. */
        if (r >= 0)
                r = sd_bus_message_set_auto_start(m, false);
        if (r >= 0)
                r = sd_bus_message_append(m, "a{sv}", 0);
        if (r < 0)
                return r;

        return sd_bus_call_async(w->client->bus, &w->question, m, waiter_on_jobs, w, timeout_usec);
}

static int waiter_on_tick(sd_event_source *source, uint64_t usec, void *userdata)
{
        Waiter *w = userdata;
        const JobInfo *job = waiter_first_job(w);
        /* While a single job runs, only the time in the line of progress changes, so ask the daemon rarely. */
        bool known = job && w->n_calls == 1 && strcmp(job->state, "running") == 0;
        int r;

        if (known && w->ticks++ % 8 != 7)
                waiter_show(w);
        else if ((r = waiter_ask(w, ASK_USEC)) < 0)
                return r;

        r = sd_event_source_set_time(source, usec + TICK_USEC);

        return r < 0 ? r : sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static int waiter_on_timeout(sd_event_source *source, uint64_t usec, void *userdata)
{
        Call *call = userdata;

        /* The error names the instances, so list the jobs first. */
        call->timed_out = true;

        return waiter_ask(call->waiter, ASK_USEC);
}

static int waiter_on_interrupt(sd_event_source *source, const struct signalfd_siginfo *si, void *userdata)
{
        Waiter *w = userdata;
        bool again = w->signal != 0;

        w->signal = (int)si->ssi_signo;
        w->unasked = w->n_done == 0 && client_has_sent_nothing(w->client, w->n_sent);

        /* Do not wait for an answer after a second Ctrl-C, or without a connection. */
        if (again || w->unasked || sd_bus_is_open(w->client->bus) <= 0)
                return waiter_exit(w);

        w->question = sd_bus_slot_unref(w->question);
        if (waiter_ask(w, FAREWELL_USEC) < 0)
                return waiter_exit(w);

        return 0;
}

/* ---- answers ---- */

static int call_start_timer(Call *call)
{
        Waiter *w = call->waiter;
        uint64_t usec = w->client->args->timeout_usec;

        if (usec == 0 || usec == UINT64_MAX || call->timer)
                return 0;

        return sd_event_add_time_relative(w->event, &call->timer, CLOCK_MONOTONIC, usec, 1000,
                                          waiter_on_timeout, call);
}

static int waiter_on_answer(sd_bus_message *answer, void *userdata, sd_bus_error *ret_error)
{
        Call *call = userdata;
        Waiter *w = call->waiter;
        unsigned n_before = call_n_jobs(call);
        int r;

        if (call->done)
                return 0;

        if (sd_bus_message_is_method_error(answer, NULL)) {
                if (w->signal != 0 && sd_bus_is_ready(w->client->bus) <= 0)
                        return waiter_exit(w);

                /* An instance that is gone has no job any more. */
                if (call->kind == CALL_INSTANCE_JOB && n_before > 0)
                        call_collect_error(call);
                else
                        call_error_read(&call->error, answer);

                return call_end(call);
        }

        /* Another daemon answers now: end the calls that wait for a JobRemoved of the earlier daemon. */
        if (w->signal == 0 && client_is_from_other_daemon(w->client, answer)) {
                r = waiter_lose_daemon(w);
                if (r < 0)
                        return r;
        }

        client_learn_daemon(w->client, answer);
        sd_bus_message_unref(call->answer);
        call->answer = sd_bus_message_ref(answer);
        r = call_read_answer(call, answer);
        (void)sd_bus_message_rewind(answer, true);

        if (r < 0) {
                call_error_set(&call->error, SD_BUS_ERROR_INVALID_SIGNATURE, "the answer names no job");
                return call_end(call);
        }

        if (!w->client->args->block)
                return call_end(call);

        if (call->kind == CALL_INSTANCE_JOB && call_n_jobs(call) == n_before) {
                call_collect_error(call);
                return call_end(call);
        }

        r = call_start_timer(call);

        return r < 0 ? r : call_end_if_done(call);
}

static int call_ask_instance(Call *call)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        int r, status;

        m = client_call_new(call->waiter->client, call->path, "org.freedesktop.DBus.Properties", "Get",
                            &status);
        if (!m)
                return -EIO;

        r = sd_bus_message_append(m, "ss", VGPUD_INTERFACE_INSTANCE, "Job");

        return r < 0 ? r
                     : sd_bus_call_async(call->waiter->client->bus, NULL, m, waiter_on_answer, call,
                                         UINT64_MAX);
}

/* ---- signals of the bus ---- */

static int waiter_on_job_removed(sd_bus_message *signal, void *userdata, sd_bus_error *ret_error)
{
        const char *path, *result, *error_name;
        _cleanup_host_ Host *h = host_new();
        Client *c = userdata;
        Waiter *w = c->waiter;
        JobInfo *info;
        CallJob *job;
        Call *call;
        uint32_t id;
        int r = 0;

        if (!w || !client_is_from_daemon(c, signal) ||
            sd_bus_message_read(signal, "uoss", &id, &path, &result, &error_name) < 0 ||
            !waiter_find_job(w, id, &call))
                return 0;

        /* Details that cannot be read are left out: the result counts. */
        (void)host_read_job(h, path, signal, &info);
        info->id = id;
        g_free(info->result);
        info->result = g_strdup(result);
        g_free(info->error_name);
        info->error_name = g_strdup(error_name);

        /* Several calls may wait for one job. */
        while (r >= 0 && (job = waiter_find_job(w, id, &call))) {
                call_job_set_ended(job, info);
                r = call_end_if_done(call);
        }

        return r;
}

static int waiter_read_property(sd_bus_message *signal, const char *name, void *userdata)
{
        bool *stuck = userdata;
        const char *state;
        int r;

        if (strcmp(name, "State") != 0)
                return sd_bus_message_skip(signal, "v");

        r = sd_bus_message_read(signal, "v", "s", &state);
        *stuck = r >= 0 && strcmp(state, "stuck") == 0;

        return r;
}

/* Do not wait for a stuck job, which may never end. */
static int waiter_on_job_changed(sd_bus_message *signal, void *userdata, sd_bus_error *ret_error)
{
        Client *c = userdata;
        Waiter *w = c->waiter;
        uint32_t id = job_id_from_path(sd_bus_message_get_path(signal));
        bool stuck = false, known = false;

        if (!w || !client_is_from_daemon(c, signal))
                return 0;

        /* Ignore a signal that cannot be read. */
        if (sd_bus_message_skip(signal, "s") >= 0)
                (void)value_read_dictionary(signal, waiter_read_property, &stuck);

        for (size_t i = 0; stuck && i < w->n_calls; i++) {
                CallJob *job = call_find_waiting(&w->calls[i], id);

                if (job)
                        known = job->stuck = true;
        }

        return known ? waiter_ask(w, ASK_USEC) : 0;
}

/* Ends only calls that wait for jobs. The bus itself sends an error for calls without an answer. */
static int waiter_on_owner(sd_bus_message *signal, void *userdata, sd_bus_error *ret_error)
{
        const char *name, *before;
        Client *c = userdata;

        if (!c->waiter || !client_is_from_bus(signal) ||
            sd_bus_message_read(signal, "ss", &name, &before) < 0 || !*before)
                return 0;

        return waiter_lose_daemon(c->waiter);
}

static int waiter_on_disconnected(sd_bus_message *signal, void *userdata, sd_bus_error *ret_error)
{
        Client *c = userdata;

        return c->waiter ? waiter_lose_calls(c->waiter, SD_BUS_ERROR_DISCONNECTED,
                                             "the connection is gone; the job may go on")
                         : 0;
}

/* Call ListJobs after the subscription: a job may have become stuck, or the daemon may have left the bus,
 * before the subscription. */
static int waiter_on_listen(sd_event_source *source, uint64_t usec, void *userdata)
{
        Waiter *w = userdata;
        int r = listen_to_all(w->client, waiter_on_job_changed, waiter_on_owner);

        /* Ask even if the answer of a call has not been read yet: its job may have begun long ago. */
        for (size_t i = 0; r >= 0 && i < w->n_calls; i++)
                if (w->calls[i].sent && !w->calls[i].done)
                        return waiter_ask(w, ASK_USEC);

        return r;
}

static int waiter_subscribe(Waiter *w)
{
        int r = listen_to_ends(w->client, waiter_on_job_removed, waiter_on_disconnected);

        /* A call that only waits may wait for a job that is stuck already, and no signal will say so: subscribe
         * now, and let waiter_on_listen() ask for the state of the jobs. */
        if (r >= 0 && call_only_waits(&w->calls[0]))
                r = listen_to_all(w->client, waiter_on_job_changed, waiter_on_owner);
        else if (listens_to_all(w->client))
                return r;

        if (r < 0)
                return r;

        return sd_event_add_time_relative(w->event, &w->listen, CLOCK_MONOTONIC, LISTEN_USEC, USEC_PER_MSEC,
                                          waiter_on_listen, w);
}

static int waiter_send(Waiter *w)
{
        while (w->n_sent < w->n_calls && w->n_sent - w->n_done < w->n_allowed) {
                Call *call = &w->calls[w->n_sent++];
                int r;

                call->waiter = w;
                call->sent = true;

                /* No time limit: the user may be typing a password. */
                r = sd_bus_call_async(w->client->bus, NULL, call->message, waiter_on_answer, call, UINT64_MAX);
                if (client_is_lost(r)) {
                        /* The connection was lost during an earlier call. */
                        call->done = true;
                        w->n_done++;
                        call_error_set_errno(&call->error, r);

                        if (w->finished)
                                w->finished(call, w->userdata);
                        if (w->n_done == w->n_calls)
                                return waiter_exit(w);
                } else if (r < 0)
                        return r;
        }

        return 0;
}

/* ---- the farewell ---- */

static int waiter_say_goodbye(Waiter *w)
{
        int status = 128 + w->signal;

        progress_clear(&w->progress);
        (void)fflush(stdout);

        if (w->client->args->json)
                progress_say_goodbye_json(w->client->args, w->host, w->calls, w->n_calls, status);
        else
                progress_say_goodbye(w->client->args, w->host, w->calls, w->n_calls, w->unasked,
                                     w->job_timeout_usec);

        return status;
}

/* ---- running ---- */

static int waiter_run(Waiter *w)
{
        int r;

        r = sd_event_new(&w->event);
        if (r < 0)
                return r;

        r = interrupt_watch(w->event, waiter_on_interrupt, w);
        if (r < 0)
                return r;

        if (w->show) {
                r = sd_event_add_time_relative(w->event, &w->tick, CLOCK_MONOTONIC, QUIET_USEC,
                                               USEC_PER_SEC / 10, waiter_on_tick, w);
                if (r < 0)
                        return r;
        }

        /* Handle SIGINT and SIGTERM before the bus: if Ctrl-C also ends the connection, the user ended the
         * wait, and the lost connection is no failure. */
        r = sd_bus_attach_event(w->client->bus, w->event, SD_EVENT_PRIORITY_NORMAL + 1);
        if (r >= 0 && w->client->args->block)
                r = waiter_subscribe(w);
        if (r >= 0)
                r = waiter_send(w);

        return r < 0 ? r : sd_event_loop(w->event);
}

int calls_run(Client *c, Call *calls, size_t n_calls, CallFinished finished, void *userdata)
{
        Waiter w = {
                .client = c,
                .calls = calls,
                .n_calls = n_calls,
                .n_allowed = call_only_waits(&calls[0]) ? n_calls : 1,
                .finished = finished,
                .userdata = userdata,
                .show = remarks_wanted(c->args),
        };
        int r, status;

        g_assert(n_calls > 0 && !c->waiter);

        c->waiter = &w;
        r = waiter_run(&w);

        progress_clear(&w.progress);
        if (w.status != 0)
                status = w.status;
        else if (w.n_done == n_calls)
                status = 0;
        else if (w.signal != 0)
                status = waiter_say_goodbye(&w);
        else
                status = fail(c->args, VGPUD_ERROR_FAILED, NULL, "Could not wait for vgpud: %s",
                              strerror(r < 0 ? -r : EIO));

        for (size_t i = 0; i < n_calls; i++)
                calls[i].timer = sd_event_source_disable_unref(calls[i].timer);
        (void)sd_bus_detach_event(c->bus);
        /* The connection outlives the waiter: a command may wait several times. */
        c->waiter = NULL;
        sd_bus_slot_unref(w.question);
        sd_bus_slot_unref(w.timeout_question);
        sd_event_source_disable_unref(w.tick);
        sd_event_source_disable_unref(w.listen);
        sd_event_unref(w.event);
        (void)host_free(w.host);

        return status;
}
