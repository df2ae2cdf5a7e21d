/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* monitor: one line per event, from the signals of the daemon. Keeps a copy of what the daemon knows, so that a
 * line can say what a change means; signals that arrive before the copy has been read are in it already. */

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#include "cli/client/client.h"
#include "cli/host/fields.h"
#include "cli/host/host-find.h"
#include "cli/host/host-json.h"
#include "cli/host/job-kinds.h"
#include "cli/host/report.h"
#include "cli/output/errors.h"
#include "cli/output/format.h"
#include "cli/output/json.h"
#include "cli/verbs/verbs.h"
#include "dbus/bus-names.h"

typedef struct Monitor {
        const Arguments *args;
        Client client;
        sd_event *event;
        Host *host;
        bool ready;            /* host is what the daemon had when it answered last */
        bool absent;           /* said that there is no daemon */
        sd_bus_slot *question; /* owned */
        int status;
} Monitor;

/* ---- One event, in one of two forms ---- */

static void say(Monitor *m, const char *format, ...) _printf_(2, 3);
static void say(Monitor *m, const char *format, ...)
{
        g_autofree char *text = NULL, *printable = NULL, *moment = NULL;
        uint64_t now = now_usec();
        va_list ap;

        va_start(ap, format);
        text = g_strdup_vprintf(format, ap);
        va_end(ap);
        printable = format_printable(text);
        moment = format_moment(now);
        (void)printf("%s.%03u  %s\n", moment, (unsigned)(now % USEC_PER_SEC / USEC_PER_MSEC), printable);
}

static Json event_begin(const char *event)
{
        Json j = json_new(true);

        json_object(&j, NULL);
        json_u64(&j, "time_usec", now_usec());
        json_string(&j, "event", event);

        return j;
}

static void event_end(Json *j)
{
        json_object_end(j);
        json_print(j, stdout);
}

static void object_event(ObjectKind kind, const void *object, const char *what, const GPtrArray *changed)
{
        g_autofree char *event = g_strdup_printf("%s-%s", object_kind_to_string(kind), what);
        Json j = event_begin(event);

        if (changed) {
                json_array(&j, "changed");
                for (unsigned i = 0; i < changed->len; i++)
                        json_string(&j, NULL, changed->pdata[i]);
                json_array_end(&j);
        }

        json_object_info(&j, object_kind_to_string(kind), kind, object);
        event_end(&j);
}

static char *object_id(ObjectKind kind, const void *object)
{
        switch (kind) {
        case OBJECT_GPU:
                return g_strdup(((const GpuInfo *)object)->name);
        case OBJECT_INSTANCE:
                return g_strdup(((const InstanceInfo *)object)->uuid);
        case OBJECT_JOB:
                return format_number(((const JobInfo *)object)->id);
        case _OBJECT_KIND_MAX:
        case _OBJECT_KIND_INVALID:
        default:
                g_assert_not_reached();
        }
}

static char *describe(const Arguments *a, ObjectKind kind, const void *object)
{
        if (kind == OBJECT_GPU) {
                const GpuInfo *g = object;
                g_autofree char *title = gpu_title(g);

                return g_strdup_printf("%s%s%s%s%s", title ? title : "", title ? ", " : "", g->state,
                                       *g->reason ? ": " : "", g->reason);
        }

        if (kind == OBJECT_INSTANCE) {
                const InstanceInfo *i = object;
                g_autofree char *owner = format_user(a, i->owner);

                return g_strdup_printf("%s on %s%s%s, %s%s%s", *i->type ? i->type : "type not known yet",
                                       i->gpu_name, *i->name ? ", named " : "", i->name,
                                       strcmp(i->origin, "foreign") == 0 ? "foreign" : "made by vgpud",
                                       owner ? " for " : "", owner ? owner : "");
        } else {
                const JobInfo *j = object;
                g_autofree char *target = job_target_text(j), *user = format_user(a, j->requester);

                return g_strdup_printf("%s%s%s on %s, asked by %s, %s", j->kind, target ? " " : "",
                                       target ? target : "", j->gpu, user ? user : "nobody", j->state);
        }
}

static void added(Monitor *m, ObjectKind kind, const void *object)
{
        g_autofree char *id = NULL, *text = NULL;

        if (m->args->json) {
                object_event(kind, object, "added", NULL);
                return;
        }

        id = object_id(kind, object);
        text = describe(m->args, kind, object);
        say(m, "%s %s added: %s", object_kind_to_string(kind), id, text);
}

static void removed(Monitor *m, ObjectKind kind, const void *object)
{
        g_autofree char *id = NULL;

        /* The end of a job is told by JobRemoved, with its result. */
        if (kind == OBJECT_JOB)
                return;

        if (m->args->json) {
                object_event(kind, object, "removed", NULL);
                return;
        }

        id = object_id(kind, object);
        say(m, "%s %s removed", object_kind_to_string(kind), id);
}

/* "i915-GVTg_V5_4 2 available (were 3), …": only those that are different now. */
static char *types_text(const GpuInfo *g, GHashTable *before)
{
        GString *s = g_string_new(NULL);

        for (unsigned i = 0; i < g->types->len; i++) {
                const TypeInfo *t = g->types->pdata[i];
                const int64_t *old = g_hash_table_lookup(before, t->id);

                if (old && *old == t->available)
                        continue;

                g_string_append_printf(s, "%s%s %" G_GINT64_FORMAT " available", s->len > 0 ? ", " : "", t->id,
                                       t->available);
                if (old)
                        g_string_append_printf(s, " (were %" G_GINT64_FORMAT ")", *old);
        }

        if (s->len == 0)
                g_string_append_printf(s, "%u types", g->types->len);

        return g_string_free(s, false);
}

/* Lists as a person wants to know them. */
static char *gpu_value_text(const GpuInfo *g, const char *key, GHashTable *types_before)
{
        unsigned n_taken = 0, n_host = 0;
        GString *s;

        if (strcmp(key, "types") == 0)
                return types_text(g, types_before);

        if (strcmp(key, "vfs") == 0) {
                for (unsigned i = 0; i < g->vfs->len; i++) {
                        const VfInfo *vf = g->vfs->pdata[i];

                        if (strcmp(vf->instance, "/") != 0)
                                n_taken++;
                        else if (*vf->driver || *vf->override)
                                n_host++;
                }

                s = g_string_new(NULL);
                g_string_printf(s, "%u, %u of them with an instance", g->vfs->len, n_taken);

                if (n_host > 0)
                        g_string_append_printf(s, ", %u with another driver or reserved", n_host);
                return g_string_free(s, false);
        }

        if (strcmp(key, "modes") != 0)
                return object_value_text(OBJECT_GPU, g, key);

        s = g_string_new(NULL);
        for (unsigned i = 0; i < g->modes->len; i++) {
                const ModeInfo *mode = g->modes->pdata[i];

                g_string_append_printf(s, "%s%s %s", i > 0 ? ", " : "", mode->name, mode->value);
        }

        return g_string_free(s, false);
}

static GHashTable *availability(const GpuInfo *g)
{
        GHashTable *table = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);

        for (unsigned i = 0; i < g->types->len; i++) {
                const TypeInfo *t = g->types->pdata[i];
                int64_t *value = g_new(int64_t, 1);

                *value = t->available;
                g_hash_table_insert(table, g_strdup(t->id), value);
        }

        return table;
}

/* The lines of jobs tell already who works on what, and the line has a time itself. */
static bool is_told_elsewhere(ObjectKind kind, const char *key)
{
        return g_str_has_suffix(key, "_usec") ||
               (kind != OBJECT_JOB && (strcmp(key, "job") == 0 || strcmp(key, "queued_jobs") == 0));
}

static void changed(Monitor *m, ObjectKind kind, const void *object, const GPtrArray *keys,
                    GHashTable *types_before)
{
        g_autofree char *id = NULL;
        GString *s;

        if (m->args->json) {
                object_event(kind, object, "changed", keys);
                return;
        }

        id = object_id(kind, object);
        s = g_string_new(NULL);

        for (unsigned i = 0; i < keys->len; i++) {
                const char *key = keys->pdata[i];
                g_autofree char *value = NULL;

                if (is_told_elsewhere(kind, key))
                        continue;

                value = kind == OBJECT_GPU ? gpu_value_text(object, key, types_before)
                                           : object_value_text(kind, object, key);
                g_string_append_printf(s, "%s%s: %s", s->len > 0 ? "; " : "", key, value);
        }

        if (s->len > 0)
                say(m, "%s %s changed: %s", object_kind_to_string(kind), id, s->str);
        g_string_free(s, true);
}

/* ---- The daemon comes and goes ---- */

static void present(Monitor *m)
{
        if (m->args->json) {
                Json j = event_begin("daemon-present");

                json_objects(&j, "gpus", m->host, OBJECT_GPU);
                json_objects(&j, "instances", m->host, OBJECT_INSTANCE);
                json_objects(&j, "jobs", m->host, OBJECT_JOB);
                event_end(&j);
        } else
                say(m, "vgpud is there: GPUs: %u; instances: %u; jobs: %u", host_n(m->host, OBJECT_GPU),
                    host_n(m->host, OBJECT_INSTANCE), host_n(m->host, OBJECT_JOB));

        m->absent = false;
}

static void absent(Monitor *m)
{
        if (m->absent)
                return;

        m->absent = true;
        if (m->args->json) {
                Json j = event_begin("daemon-absent");

                event_end(&j);
        } else
                say(m, "vgpud is not there; waiting for it");
}

static int flush(Monitor *m)
{
        if (fflush(stdout) != 0 || ferror(stdout))
                return sd_event_exit(m->event, 0);

        return 0;
}

static int give_up(Monitor *m, int status)
{
        m->status = status;
        return sd_event_exit(m->event, 0);
}

static int on_host(sd_bus_message *answer, void *userdata, sd_bus_error *reterr)
{
        const sd_bus_error *error = sd_bus_message_get_error(answer);
        Monitor *m = userdata;
        int r;

        m->question = sd_bus_slot_unref(m->question);

        if (error) {
                _cleanup_failure_ Failure f = failure_from_error(&m->client, error, "Could not ask vgpud");

                if (f.status != EXIT_FAILURE || m->args->host ||
                    sd_bus_error_has_name(error, SD_BUS_ERROR_UNKNOWN_METHOD))
                        return give_up(m, client_failed(&m->client, error, NULL, "Could not ask vgpud"));

                absent(m); /* not installed, or it fails to start: it may come later */
                return flush(m);
        }

        r = host_read(m->host, answer);
        if (r < 0)
                return give_up(m, fail(m->args, VGPUD_ERROR_FAILED, NULL,
                                       "Could not read the answer of vgpud: %s", strerror(-r)));

        m->ready = true;
        present(m);

        return flush(m);
}

static int ask_host(Monitor *m, bool start_it)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL;
        int r;

        m->ready = false;
        m->question = sd_bus_slot_unref(m->question);

        r = sd_bus_message_new_method_call(m->client.bus, &call, VGPUD_BUS_NAME, VGPUD_PATH_ROOT,
                                           "org.freedesktop.DBus.ObjectManager", "GetManagedObjects");
        if (r >= 0)
                r = sd_bus_message_set_auto_start(call, start_it);
        if (r >= 0)
                r = sd_bus_call_async(m->client.bus, &m->question, call, on_host, m, 0);

        return r;
}

static int on_owner(sd_bus_message *signal, void *userdata, sd_bus_error *reterr)
{
        const char *name, *before, *after;
        Monitor *m = userdata;
        int r;

        r = sd_bus_message_read(signal, "sss", &name, &before, &after);
        if (r < 0)
                return r;

        if (*after)
                return ask_host(m, false);

        m->ready = false;
        m->question = sd_bus_slot_unref(m->question);
        absent(m);

        return flush(m);
}

/* ---- Signals of the daemon ---- */

static int interfaces_added(Monitor *m, sd_bus_message *signal)
{
        const char *path;
        int r;

        r = sd_bus_message_read_basic(signal, 'o', &path);
        if (r >= 0)
                r = sd_bus_message_enter_container(signal, 'a', "{sa{sv}}");
        if (r < 0)
                return r;

        while ((r = sd_bus_message_enter_container(signal, 'e', "sa{sv}")) > 0) {
                const char *interface;
                ObjectKind kind;
                void *object;

                r = sd_bus_message_read_basic(signal, 's', &interface);
                if (r < 0)
                        return r;

                kind = object_kind_from_interface(interface);
                if (kind == _OBJECT_KIND_INVALID)
                        r = sd_bus_message_skip(signal, "a{sv}");
                else {
                        r = host_read_object(m->host, kind, path, signal, NULL, &object);
                        if (r >= 0)
                                added(m, kind, object);
                }

                if (r >= 0)
                        r = sd_bus_message_exit_container(signal);
                if (r < 0)
                        return r;
        }

        return r;
}

static int interfaces_removed(Monitor *m, sd_bus_message *signal)
{
        const char *path, *interface;
        int r;

        r = sd_bus_message_read_basic(signal, 'o', &path);
        if (r >= 0)
                r = sd_bus_message_enter_container(signal, 'a', "s");
        if (r < 0)
                return r;

        while ((r = sd_bus_message_read_basic(signal, 's', &interface)) > 0) {
                ObjectKind kind = object_kind_from_interface(interface);
                void *object = kind == _OBJECT_KIND_INVALID ? NULL : host_find_path(m->host, kind, path);

                if (!object)
                        continue;

                removed(m, kind, object);
                host_remove_path(m->host, kind, path);
        }

        return r;
}

static int properties_changed(Monitor *m, sd_bus_message *signal)
{
        g_autoptr(GPtrArray) keys = g_ptr_array_new();
        g_autoptr(GHashTable) types_before = NULL;
        const char *interface, *path = sd_bus_message_get_path(signal);
        ObjectKind kind;
        void *object;
        int r;

        r = sd_bus_message_read_basic(signal, 's', &interface);
        if (r < 0)
                return r;

        kind = object_kind_from_interface(interface);
        object = kind == _OBJECT_KIND_INVALID ? NULL : host_find_path(m->host, kind, path);
        if (!object)
                return 0;

        if (kind == OBJECT_GPU)
                types_before = availability(object);
        r = host_read_object(m->host, kind, path, signal, keys, NULL);
        if (r < 0)
                return r;

        if (keys->len > 0)
                changed(m, kind, object, keys, types_before);

        return 0;
}

static int job_removed(Monitor *m, sd_bus_message *signal)
{
        const char *path, *result, *error_name, *message;
        uint32_t id;
        int r;

        r = sd_bus_message_read(signal, "uosss", &id, &path, &result, &error_name, &message);
        if (r < 0)
                return r;

        if (m->args->json) {
                Json j = event_begin("job-ended");

                json_u64(&j, "id", id);
                json_string(&j, "result", result);
                json_string(&j, "error_name", *error_name ? error_name : NULL);
                json_string(&j, "message", *message ? message : NULL);
                json_array(&j, "instances");
                r = sd_bus_message_enter_container(signal, 'a', "o");

                while (r > 0 && (r = sd_bus_message_read_basic(signal, 'o', &path)) > 0) {
                        g_autofree char *uuid = uuid_from_path(path);

                        json_string(&j, NULL, uuid);
                }

                json_array_end(&j);
                event_end(&j);
        } else
                say(m, "job %" G_GUINT32_FORMAT " ended: %s%s%s", id, result, *message ? ": " : "", message);

        return 0;
}

static int on_signal(sd_bus_message *signal, void *userdata, sd_bus_error *reterr)
{
        static const struct {
                const char *interface;
                const char *member;
                int (*read)(Monitor *m, sd_bus_message *signal);
        } table[] = {
                { "org.freedesktop.DBus.ObjectManager", "InterfacesAdded", interfaces_added },
                { "org.freedesktop.DBus.ObjectManager", "InterfacesRemoved", interfaces_removed },
                { "org.freedesktop.DBus.Properties", "PropertiesChanged", properties_changed },
                { VGPUD_INTERFACE_MANAGER, "JobRemoved", job_removed },
        };
        Monitor *m = userdata;

        if (!m->ready)
                return 0;

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                int r;

                if (!sd_bus_message_is_signal(signal, table[i].interface, table[i].member))
                        continue;

                r = table[i].read(m, signal);
                if (r < 0) /* not what it should be: what is known may be wrong from now on, so ask again */
                        return ask_host(m, false);

                return flush(m);
        }

        return 0;
}

static int on_end(sd_event_source *source, const struct signalfd_siginfo *si, void *userdata)
{
        Monitor *m = userdata;

        return sd_event_exit(m->event, 0);
}

/* Nobody reads any more: seen also while there is nothing to say. */
static int on_reader_gone(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
        return give_up(userdata, EXIT_FAILURE);
}

static int watch_reader(Monitor *m)
{
        /* No events are asked for: errors and hang-ups are told anyway. */
        int r = sd_event_add_io(m->event, NULL, STDOUT_FILENO, 0, on_reader_gone, m);

        return r == -EPERM ? 0 : r; /* a file, which has no reader that could go */
}

static int subscribe(Monitor *m)
{
        static const int signals[] = { SIGINT, SIGTERM };
        sigset_t blocked;
        int r;

        r = sd_event_new(&m->event);
        if (r < 0)
                return r;

        (void)sigemptyset(&blocked);
        for (size_t i = 0; i < G_N_ELEMENTS(signals); i++)
                (void)sigaddset(&blocked, signals[i]);
        if (sigprocmask(SIG_BLOCK, &blocked, NULL) < 0)
                return -errno;

        for (size_t i = 0; r >= 0 && i < G_N_ELEMENTS(signals); i++)
                r = sd_event_add_signal(m->event, NULL, signals[i], on_end, m);
        if (r >= 0)
                r = watch_reader(m);
        if (r >= 0)
                r = sd_bus_attach_event(m->client.bus, m->event, SD_EVENT_PRIORITY_NORMAL);
        if (r >= 0)
                r = sd_bus_set_exit_on_disconnect(m->client.bus, true);
        if (r >= 0)
                r = sd_bus_add_match(
                                m->client.bus, NULL,
                                "type='signal',sender='org.freedesktop.DBus',interface='org.freedesktop.DBus',member='NameOwnerChanged',arg0='" VGPUD_BUS_NAME
                                "'",
                                on_owner, m);
        if (r >= 0)
                r = sd_bus_add_match(m->client.bus, NULL,
                                     "type='signal',sender='" VGPUD_BUS_NAME
                                     "',path_namespace='" VGPUD_PATH_ROOT "'",
                                     on_signal, m);

        return r < 0 ? r : ask_host(m, true);
}

int verb_monitor(const Arguments *a)
{
        Monitor m = { .args = a, .host = host_new() };
        int r;

        m.status = client_open(&m.client, a);
        if (m.status == 0) {
                r = subscribe(&m);
                if (r < 0)
                        m.status = fail(a, VGPUD_ERROR_FAILED, NULL,
                                        "Could not subscribe to the signals of vgpud: %s", strerror(-r));
                else {
                        r = sd_event_loop(m.event);
                        if (m.status == 0 && r != 0)
                                m.status = fail(a, VGPUD_ERROR_FAILED, NULL,
                                                "The connection to the bus has gone");
                }
        }

        m.question = sd_bus_slot_unref(m.question);
        client_close(&m.client);
        sd_event_unref(m.event);
        host_free(m.host);

        return m.status;
}
