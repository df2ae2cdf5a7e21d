/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "cli/verbs/ready-wait.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/client/call-error.h"
#include "cli/client/interrupt.h"
#include "cli/client/progress.h"
#include "cli/host/find.h"
#include "cli/host/values.h"
#include "cli/output/format.h"
#include "dbus/bus-names.h"

#define INTERFACE_PROPERTIES "org.freedesktop.DBus.Properties"

/* A shorter wait has no line of progress. */
#define QUIET_USEC USEC_PER_SEC
/* Time limit of the last question: ListMissing. */
#define LAST_ANSWER_USEC (5 * USEC_PER_SEC)

typedef struct ReadyWaiter {
        Client *client;
        Ready *ready;
        sd_event *event;
        sd_bus_slot *question;      /* owned; the readiness */
        sd_bus_slot *last_question; /* owned; ListMissing; the answer ends the wait */
        sd_event_source *deadline;  /* owned; --timeout */
        sd_event_source *absence;   /* owned; armed while the daemon is not on the bus */
        sd_event_source *quiet;     /* owned; armed until the line of progress may be shown */
        bool absent;                /* the daemon is not on the bus */
        bool loud;                  /* the line of progress may be shown */
        Progress progress;
} ReadyWaiter;

/* ---- the result ---- */

void ready_init(Ready *ready, char **words, unsigned n_words)
{
        *ready = (Ready){
                .definitions = g_new0(ReadyDefinition, n_words),
                .n_definitions = n_words,
                .missing = g_ptr_array_new_with_free_func(g_free),
        };

        for (unsigned i = 0; i < n_words; i++)
                ready->definitions[i].word = words[i];
}

void ready_done(Ready *ready)
{
        for (size_t i = 0; i < ready->n_definitions; i++) {
                ReadyDefinition *d = &ready->definitions[i];

                sd_bus_slot_unref(d->question);
                error_info_done(&d->error);
                g_free(d->uuid);
                g_free(d->name);
                g_free(d->state);
                g_free(d->reason);
        }

        g_free(ready->definitions);
        g_free(ready->readiness);
        g_ptr_array_unref(ready->missing);
        error_info_done(&ready->error);
}

bool ready_is_ready(const Ready *ready)
{
        return g_strcmp0(ready->readiness, "ready") == 0;
}

char *ready_describe(const ReadyDefinition *d)
{
        bool named = d->name && *d->name && d->uuid;

        return g_strdup_printf("definition %s%s%s%s: %s", named ? d->name : d->word, named ? " (" : "",
                               named ? d->uuid : "", named ? ")" : "",
                               d->reason && *d->reason ? d->reason
                               : d->state              ? d->state
                                                       : "its state is not known");
}

static bool ready_is_over(const Ready *ready)
{
        if (ready->n_definitions == 0)
                return ready->readiness && strcmp(ready->readiness, "converging") != 0;

        for (size_t i = 0; i < ready->n_definitions; i++)
                if (!ready->definitions[i].active)
                        return false;

        return true;
}

/* True if a definition cannot become active by itself. False until all definitions have been looked up, so that
 * the errors of all definitions are printed. */
static bool ready_is_hopeless(const Ready *ready)
{
        bool hopeless = false;

        for (size_t i = 0; i < ready->n_definitions; i++) {
                if (ready->definitions[i].question)
                        return false;

                hopeless = hopeless || ready->definitions[i].error.name;
        }

        return hopeless;
}

/* ---- the end ---- */

/* Detach the bus first: the end of an event loop closes an attached bus. */
static int ready_exit(ReadyWaiter *w)
{
        (void)sd_bus_detach_event(w->client->bus);

        return sd_event_exit(w->event, 0);
}

/* Ends the wait with a copy of the error, unless the wait has an error already. */
static int ready_give_up(ReadyWaiter *w, const ErrorInfo *e)
{
        if (!w->ready->error.name)
                error_info_copy(&w->ready->error, e);

        return ready_exit(w);
}

static int ready_give_up_explained(ReadyWaiter *w, const ErrorInfo *said)
{
        _cleanup_error_info_ ErrorInfo e = { 0 };

        call_error_explain(&e, w->client->args, said, "Could not wait");

        return ready_give_up(w, &e);
}

static int ready_on_missing(sd_bus_message *answer, void *userdata, sd_bus_error *ret_error)
{
        ReadyWaiter *w = userdata;
        g_auto(GStrv) texts = NULL;

        if (w->ready->n_definitions == 0 && !sd_bus_message_is_method_error(answer, NULL) &&
            value_read_strings(answer, &texts) >= 0)
                for (char **t = texts; t && *t; t++)
                        g_ptr_array_add(w->ready->missing, g_strdup(*t));

        return ready_exit(w);
}

/* Ends the wait. If the wait is not complete and vgpud is on the bus, first calls ListMissing: the answer comes
 * after the answers to all earlier questions. */
static int ready_finish(ReadyWaiter *w)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        bool complete = w->ready->n_definitions > 0 ? ready_is_over(w->ready) : ready_is_ready(w->ready);
        int r, status;

        if (complete || w->absent)
                return ready_exit(w);

        if (w->last_question)
                return 0;

        m = client_call_new_plain(w->client, VGPUD_PATH_ROOT, VGPUD_INTERFACE_MANAGER, "ListMissing", &status);
        r = m ? sd_bus_message_set_auto_start(m, false) : -EIO;
        if (r >= 0)
                r = sd_bus_call_async(w->client->bus, &w->last_question, m, ready_on_missing, w,
                                      LAST_ANSWER_USEC);

        return r < 0 ? ready_exit(w) : 0;
}

/* ---- progress ---- */

static void ready_show(ReadyWaiter *w)
{
        g_autofree char *text = NULL;
        size_t n_active = 0;

        if (!w->loud)
                return;

        for (size_t i = 0; i < w->ready->n_definitions; i++)
                n_active += w->ready->definitions[i].active;

        if (w->absent)
                text = g_strdup("waiting for the start of vgpud");
        else if (w->ready->n_definitions > 0)
                text = g_strdup_printf("%zu of %zu definitions are active", n_active, w->ready->n_definitions);
        else
                text = g_strdup("waiting for the missing instances and settings");

        progress_show(&w->progress, text);
}

static int ready_on_quiet(sd_event_source *source, uint64_t usec, void *userdata)
{
        ReadyWaiter *w = userdata;

        w->loud = true;
        ready_show(w);

        return 0;
}

static int ready_check(ReadyWaiter *w)
{
        ready_show(w);

        if (ready_is_over(w->ready)) {
                /* The deadline may have passed while the last answers were on their way. */
                error_info_done(&w->ready->error);
                return ready_finish(w);
        }

        return ready_is_hopeless(w->ready) ? ready_exit(w) : 0;
}

/* ---- the absence of the daemon ---- */

static int ready_on_absence(sd_event_source *source, uint64_t usec, void *userdata)
{
        _cleanup_error_info_ ErrorInfo said = { 0 };

        call_error_set(&said, SD_BUS_ERROR_NAME_HAS_NO_OWNER, "vgpud has not come to the bus");

        return ready_give_up_explained(userdata, &said);
}

/* Forget the readiness and the open questions: the daemon that returns may be in another state. */
static int ready_set_absent(ReadyWaiter *w)
{
        Ready *ready = w->ready;

        w->absent = true;
        w->question = sd_bus_slot_unref(w->question);
        w->last_question = sd_bus_slot_unref(w->last_question);
        g_clear_pointer(&ready->readiness, g_free);
        for (size_t i = 0; i < ready->n_definitions; i++)
                ready->definitions[i].question = sd_bus_slot_unref(ready->definitions[i].question);

        if (ready->error.name)
                return ready_exit(w);

        ready_show(w);

        /* With --timeout, the absence has no limit of its own. */
        if (w->absence || w->client->args->timeout_usec != 0)
                return 0;

        return sd_event_add_time_relative(w->event, &w->absence, CLOCK_MONOTONIC, READY_ABSENT_USEC,
                                          USEC_PER_SEC / 10, ready_on_absence, w);
}

static void ready_set_present(ReadyWaiter *w, sd_bus_message *answer)
{
        client_learn_daemon(w->client, answer);
        w->absent = false;
        w->absence = sd_event_source_disable_unref(w->absence);
}

/* True if vgpud may come to the bus later. A masked or missing unit does not start. */
static bool ready_may_come(const ErrorInfo *explained)
{
        static const char *const hopeless[] = {
                SD_BUS_ERROR_UNKNOWN_METHOD,           SD_BUS_ERROR_UNKNOWN_INTERFACE,
                SD_BUS_ERROR_UNKNOWN_PROPERTY,         "org.freedesktop.systemd1.UnitMasked",
                "org.freedesktop.systemd1.NoSuchUnit", NULL,
        };

        return explained->status == EXIT_FAILURE && !g_strv_contains(hopeless, explained->name);
}

static int ready_on_error(ReadyWaiter *w, sd_bus_message *answer)
{
        _cleanup_error_info_ ErrorInfo said = { 0 }, e = { 0 };

        call_error_read(&said, answer);
        call_error_explain(&e, w->client->args, &said, "Could not wait");

        return sd_bus_is_open(w->client->bus) > 0 && ready_may_come(&e) ? ready_set_absent(w)
                                                                        : ready_give_up(w, &e);
}

/* ---- questions ---- */

static int ready_set_readiness(ReadyWaiter *w, const char *readiness)
{
        g_free(w->ready->readiness);
        w->ready->readiness = g_strdup(readiness);

        return ready_check(w);
}

static int ready_on_readiness(sd_bus_message *answer, void *userdata, sd_bus_error *ret_error)
{
        ReadyWaiter *w = userdata;
        const char *readiness;

        w->question = sd_bus_slot_unref(w->question);
        if (sd_bus_message_is_method_error(answer, NULL))
                return ready_on_error(w, answer);

        ready_set_present(w, answer);
        if (sd_bus_message_read(answer, "v", "s", &readiness) < 0) {
                _cleanup_error_info_ ErrorInfo said = { 0 };

                call_error_set(&said, SD_BUS_ERROR_INVALID_SIGNATURE, "the readiness is not a text");
                return ready_give_up_explained(w, &said);
        }

        return ready_set_readiness(w, readiness);
}

static int ready_read_definition(sd_bus_message *m, const char *key, void *userdata)
{
        ReadyDefinition *d = userdata;
        const TextEntry texts[] = { { "uuid", &d->uuid },
                                    { "name", &d->name },
                                    { "state", &d->state },
                                    { "reason", &d->reason },
                                    { NULL, NULL } };

        return value_read_texts(m, key, texts);
}

/* Sets the error of a definition that will not become active by itself. */
static void ready_judge(const ReadyWaiter *w, ReadyDefinition *d)
{
        const char *state = d->state ? d->state : "";
        g_autofree char *message = NULL;

        d->active = strcmp(state, "active") == 0;
        if (strcmp(state, "stopped") == 0) {
                message = g_strdup_printf("Definition %s is stopped, and vgpud does not start it by itself",
                                          d->word);
                error_info_set(&d->error, VGPUD_ERROR_NO_SUCH_INSTANCE, message);
                error_info_set_hint(&d->error, VGPUD_HINT_USE_START,
                                    "create the instance with \"vgpuctl start\"");
        } else if (strcmp(state, "foreign") == 0) {
                message = g_strdup_printf("Another program created a device with the UUID of definition %s",
                                          d->word);
                error_info_set(&d->error, VGPUD_ERROR_FOREIGN, message);
        }
}

static int ready_on_definition(sd_bus_message *answer, void *userdata, sd_bus_error *ret_error)
{
        ReadyDefinition *d = userdata;
        ReadyWaiter *w = d->waiter;
        int r;

        d->question = sd_bus_slot_unref(d->question);
        if (sd_bus_message_is_method_error(answer, NULL)) {
                _cleanup_error_info_ ErrorInfo said = { 0 };

                call_error_read(&said, answer);
                if (vgpud_error_code_from_dbus(said.name) == VGPUD_ERROR_NONE &&
                    !sd_bus_error_has_name(sd_bus_message_get_error(answer), SD_BUS_ERROR_INVALID_ARGS))
                        return ready_on_error(w, answer);

                call_error_explain(&d->error, w->client->args, &said, d->word);
                return ready_check(w);
        }

        ready_set_present(w, answer);
        r = value_read_dictionary(answer, ready_read_definition, d);
        if (r < 0) {
                _cleanup_error_info_ ErrorInfo said = { 0 };

                call_error_set_errno(&said, r);
                return ready_give_up_explained(w, &said);
        }

        ready_judge(w, d);

        return ready_check(w);
}

/* `auto_start`: let the bus start vgpud. */
static int ready_ask_definition(ReadyWaiter *w, ReadyDefinition *d, bool auto_start)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        int r, status;

        if (d->active || d->error.name)
                return 0;

        m = client_call_new(w->client, VGPUD_PATH_ROOT, VGPUD_INTERFACE_MANAGER, "GetDefinition", &status);
        r = m ? client_append_word(m, d->uuid ? d->uuid : d->word) : -EINVAL;
        if (r >= 0)
                r = sd_bus_message_set_auto_start(m, auto_start);
        if (r < 0)
                return r;

        d->waiter = w;
        d->question = sd_bus_slot_unref(d->question);

        return sd_bus_call_async(w->client->bus, &d->question, m, ready_on_definition, d, UINT64_MAX);
}

static int ready_ask(ReadyWaiter *w, bool auto_start)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        int r, status;

        m = client_call_new(w->client, VGPUD_PATH_ROOT, INTERFACE_PROPERTIES, "Get", &status);
        r = m ? sd_bus_message_append(m, "ss", VGPUD_INTERFACE_MANAGER, "Readiness") : -EINVAL;
        if (r >= 0)
                r = sd_bus_message_set_auto_start(m, auto_start);
        if (r < 0)
                return r;

        w->question = sd_bus_slot_unref(w->question);

        /* No time limit: the start of vgpud may take long. */
        r = sd_bus_call_async(w->client->bus, &w->question, m, ready_on_readiness, w, UINT64_MAX);
        for (size_t i = 0; r >= 0 && i < w->ready->n_definitions; i++)
                r = ready_ask_definition(w, &w->ready->definitions[i], auto_start);

        return r;
}

/* ---- signals ---- */

static int ready_read_property(sd_bus_message *m, const char *key, void *userdata)
{
        const TextEntry texts[] = { { "Readiness", userdata }, { NULL, NULL } };

        return value_read_texts(m, key, texts);
}

static int ready_on_properties(ReadyWaiter *w, sd_bus_message *signal)
{
        g_autofree char *readiness = NULL;
        const char *interface;

        if (sd_bus_message_read_basic(signal, 's', &interface) < 0 ||
            strcmp(interface, VGPUD_INTERFACE_MANAGER) != 0)
                return 0;

        /* Ignore a signal that cannot be read. */
        (void)value_read_dictionary(signal, ready_read_property, &readiness);

        return readiness ? ready_set_readiness(w, readiness) : 0;
}

static int ready_on_instance(ReadyWaiter *w, sd_bus_message *signal)
{
        g_autofree char *uuid = NULL;
        const char *path;
        int r = 0;

        if (sd_bus_message_read_basic(signal, 'o', &path) < 0)
                return 0;

        uuid = uuid_from_path(path);
        for (size_t i = 0; uuid && r >= 0 && i < w->ready->n_definitions; i++)
                if (g_strcmp0(w->ready->definitions[i].uuid, uuid) == 0)
                        r = ready_ask_definition(w, &w->ready->definitions[i], false);

        return r;
}

static int ready_on_definition_signal(ReadyWaiter *w, sd_bus_message *signal)
{
        const char *uuid;
        int r = 0;

        if (sd_bus_message_read_basic(signal, 's', &uuid) < 0)
                return 0;

        for (size_t i = 0; r >= 0 && i < w->ready->n_definitions; i++)
                if (g_strcmp0(w->ready->definitions[i].uuid, uuid) == 0)
                        r = ready_ask_definition(w, &w->ready->definitions[i], false);

        return r;
}

/* A start by a user that fails changes the state of its definition without DefinitionChanged. */
static int ready_on_job_removed(ReadyWaiter *w, sd_bus_message *signal)
{
        int r = 0;

        for (size_t i = 0; r >= 0 && i < w->ready->n_definitions; i++) {
                ReadyDefinition *d = &w->ready->definitions[i];

                if (d->state && strcmp(d->state, "waiting") != 0)
                        r = ready_ask_definition(w, d, false);
        }

        return r;
}

static int ready_on_signal(sd_bus_message *signal, void *userdata, sd_bus_error *ret_error)
{
        static const struct {
                const char *interface, *member;
                int (*read)(ReadyWaiter *w, sd_bus_message *signal);
        } table[] = {
                { INTERFACE_PROPERTIES, "PropertiesChanged", ready_on_properties },
                { "org.freedesktop.DBus.ObjectManager", "InterfacesAdded", ready_on_instance },
                { VGPUD_INTERFACE_MANAGER, "DefinitionChanged", ready_on_definition_signal },
                { VGPUD_INTERFACE_MANAGER, "DefinitionRemoved", ready_on_definition_signal },
                { VGPUD_INTERFACE_MANAGER, "JobRemoved", ready_on_job_removed },
        };
        ReadyWaiter *w = userdata;

        if (!client_is_from_daemon(w->client, signal))
                return 0;

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++)
                if (sd_bus_message_is_signal(signal, table[i].interface, table[i].member))
                        return table[i].read(w, signal);

        return 0;
}

static int ready_on_owner(sd_bus_message *signal, void *userdata, sd_bus_error *ret_error)
{
        const char *name, *before, *after;
        ReadyWaiter *w = userdata;
        int r;

        if (!client_is_from_bus(signal) || sd_bus_message_read(signal, "sss", &name, &before, &after) < 0)
                return 0;

        if (!*after)
                return ready_set_absent(w);

        if (*before && (r = ready_set_absent(w)) < 0)
                return r;

        return ready_ask(w, false);
}

static int ready_on_disconnected(sd_bus_message *signal, void *userdata, sd_bus_error *ret_error)
{
        _cleanup_error_info_ ErrorInfo said = { 0 };

        call_error_set(&said, SD_BUS_ERROR_DISCONNECTED, "the connection is gone");

        return ready_give_up_explained(userdata, &said);
}

/* ---- timeout and interruption ---- */

static int ready_on_deadline(sd_event_source *source, uint64_t usec, void *userdata)
{
        ReadyWaiter *w = userdata;
        const Arguments *a = w->client->args;
        g_autofree char *time = format_duration(a->timeout_usec);
        g_autofree char *message = NULL;

        if (w->absent)
                return ready_on_absence(source, usec, w);

        message = g_strdup_printf(w->ready->n_definitions > 0 ? "Not all definitions are active after %s"
                                                              : "The host is not ready after %s",
                                  time);
        error_info_set(&w->ready->error, VGPUD_ERROR_TIMEOUT, message);

        return ready_finish(w);
}

static int ready_on_interrupt(sd_event_source *source, const struct signalfd_siginfo *si, void *userdata)
{
        _cleanup_error_info_ ErrorInfo e = { .status = 128 + (int)si->ssi_signo };

        call_error_set(&e, "vgpuctl.Interrupted", "Interrupted before the end of the wait");

        return ready_give_up(userdata, &e);
}

/* ---- the wait ---- */

static int ready_subscribe(ReadyWaiter *w)
{
        sd_bus *bus = w->client->bus;
        int r;

        r = sd_bus_match_signal_async(bus, NULL, "org.freedesktop.DBus.Local", "/org/freedesktop/DBus/Local",
                                      "org.freedesktop.DBus.Local", "Disconnected", ready_on_disconnected, NULL,
                                      w);
        if (r >= 0)
                r = sd_bus_add_match_async(
                                bus, NULL,
                                "type='signal',sender='org.freedesktop.DBus',interface='org.freedesktop.DBus',member='NameOwnerChanged',arg0='" VGPUD_BUS_NAME
                                "'",
                                ready_on_owner, NULL, w);
        if (r >= 0)
                r = sd_bus_add_match_async(bus, NULL,
                                           "type='signal',sender='" VGPUD_BUS_NAME "',path='" VGPUD_PATH_ROOT
                                           "'",
                                           ready_on_signal, NULL, w);

        return r;
}

static int ready_loop(ReadyWaiter *w)
{
        uint64_t timeout_usec = w->client->args->timeout_usec;
        int r;

        r = sd_event_new(&w->event);
        if (r >= 0)
                r = interrupt_watch(w->event, ready_on_interrupt, w);
        if (r >= 0 && timeout_usec != 0 && timeout_usec != UINT64_MAX)
                r = sd_event_add_time_relative(w->event, &w->deadline, CLOCK_MONOTONIC, timeout_usec,
                                               USEC_PER_MSEC, ready_on_deadline, w);
        if (r >= 0 && remarks_wanted(w->client->args))
                r = sd_event_add_time_relative(w->event, &w->quiet, CLOCK_MONOTONIC, QUIET_USEC,
                                               USEC_PER_SEC / 10, ready_on_quiet, w);

        /* Handle SIGINT and SIGTERM before the bus: Ctrl-C may also end the connection. */
        if (r >= 0)
                r = sd_bus_attach_event(w->client->bus, w->event, SD_EVENT_PRIORITY_NORMAL + 1);
        if (r >= 0)
                r = ready_subscribe(w);
        if (r >= 0)
                r = ready_ask(w, true);

        return r < 0 ? r : sd_event_loop(w->event);
}

void ready_wait(Client *c, Ready *ready)
{
        ReadyWaiter w = { .client = c, .ready = ready };
        int r;

        r = ready_loop(&w);
        progress_clear(&w.progress);
        if (r < 0 && !ready->error.name) {
                _cleanup_error_info_ ErrorInfo said = { 0 };

                call_error_set_errno(&said, r);
                call_error_explain(&ready->error, c->args, &said, "Could not wait");
        }

        /* The handlers use the waiter, so close the connection before the waiter ends. */
        (void)sd_bus_detach_event(c->bus);
        sd_bus_close(c->bus);
        for (size_t i = 0; i < ready->n_definitions; i++)
                ready->definitions[i].question = sd_bus_slot_unref(ready->definitions[i].question);

        sd_bus_slot_unref(w.question);
        sd_bus_slot_unref(w.last_question);
        sd_event_source_disable_unref(w.deadline);
        sd_event_source_disable_unref(w.absence);
        sd_event_source_disable_unref(w.quiet);
        sd_event_unref(w.event);
}
