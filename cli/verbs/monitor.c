/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* monitor: one line per event. The verb keeps a copy of the daemon's objects and applies the signals to it, so
 * that a line can say what a change means. The verb ignores signals until the answer with all objects has
 * arrived, and prints no line until the lists (types, VFs, definitions) have arrived, too. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#include "cli/client/call-error.h"
#include "cli/client/client.h"
#include "cli/client/interrupt.h"
#include "cli/host/columns.h"
#include "cli/host/fields.h"
#include "cli/host/find.h"
#include "cli/host/type-table.h"
#include "cli/host/values.h"
#include "cli/output/errors.h"
#include "cli/verbs/monitor-apply.h"
#include "cli/verbs/monitor-say.h"
#include "cli/verbs/verbs.h"
#include "dbus/bus-names.h"

typedef struct Monitor {
        const Arguments *args;
        Client client;
        sd_event *event;
        Host *host;
        bool ready;           /* host has the objects; signals apply to it */
        bool present;         /* the first line has been printed; events are printed */
        bool absent;          /* the absence of the daemon has been printed */
        GPtrArray *questions; /* Question: calls without an answer */
        int status;
} Monitor;

typedef enum QuestionKind {
        QUESTION_MANAGED,   /* all objects */
        QUESTION_ALL_TYPES, /* the types of all GPUs */
        QUESTION_DEFINITIONS,
        QUESTION_TYPES,   /* the types of a GPU */
        QUESTION_VFS,     /* the virtual functions of a GPU */
        QUESTION_PARENTS, /* the parents of a GPU */
} QuestionKind;

typedef enum QuestionFlags {
        QUESTION_SAY = 1 << 0,   /* print that the list has changed */
        QUESTION_ADDED = 1 << 1, /* after the last list of a new GPU, print that the GPU was added */
} QuestionFlags;

typedef struct Question {
        Monitor *monitor;
        QuestionKind kind;
        unsigned flags;
        char *path; /* path of the GPU, or of the daemon */
        sd_bus_slot *slot;
} Question;

static void question_free(void *p)
{
        Question *q = p;

        sd_bus_slot_unref(q->slot);
        g_free(q->path);
        g_free(q);
}

/* ---- the event loop ---- */

static int monitor_flush(Monitor *m)
{
        if (fflush(stdout) != 0 || ferror(stdout))
                return sd_event_exit(m->event, 0);

        return 0;
}

static int monitor_give_up(Monitor *m, int status)
{
        g_assert(status > 0);

        m->status = status;
        return sd_event_exit(m->event, 0);
}

static void monitor_set_absent(Monitor *m)
{
        m->ready = m->present = false;
        g_ptr_array_set_size(m->questions, 0);

        if (!m->absent)
                say_absent(m->args);
        m->absent = true;
}

/* ---- questions ---- */

static int monitor_on_answer(sd_bus_message *answer, void *userdata, sd_bus_error *ret_error);

static int monitor_ask(Monitor *m, QuestionKind kind, const char *path, unsigned flags, bool start_daemon)
{
        static const struct {
                const char *interface, *member, *signature;
        } calls[] = {
                [QUESTION_MANAGED] = { "org.freedesktop.DBus.ObjectManager", "GetManagedObjects", NULL },
                [QUESTION_ALL_TYPES] = { VGPUD_INTERFACE_MANAGER, "ListTypes", "a{sv}" },
                [QUESTION_DEFINITIONS] = { VGPUD_INTERFACE_MANAGER, "ListDefinitions", "a{sv}" },
                [QUESTION_TYPES] = { VGPUD_INTERFACE_GPU, "ListTypes", "a{sv}" },
                [QUESTION_VFS] = { VGPUD_INTERFACE_GPU, "ListVfs", "a{sv}" },
                [QUESTION_PARENTS] = { "org.freedesktop.DBus.Properties", "Get", "ss" },
        };
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL;
        Question *q;
        int r;

        g_assert((size_t)kind < G_N_ELEMENTS(calls));
        g_assert(!start_daemon || kind == QUESTION_MANAGED);

        r = sd_bus_message_new_method_call(m->client.bus, &call, VGPUD_BUS_NAME, path, calls[kind].interface,
                                           calls[kind].member);
        if (r >= 0 && kind == QUESTION_PARENTS)
                r = sd_bus_message_append(call, "ss", VGPUD_INTERFACE_GPU, "Parents");
        else if (r >= 0 && calls[kind].signature)
                r = sd_bus_message_append(call, "a{sv}", 0);
        if (r >= 0)
                r = sd_bus_message_set_auto_start(call, start_daemon);
        if (r < 0)
                return r;

        q = g_new0(Question, 1);
        *q = (Question){ .monitor = m, .kind = kind, .flags = flags, .path = g_strdup(path) };
        g_ptr_array_add(m->questions, q);

        return sd_bus_call_async(m->client.bus, &q->slot, call, monitor_on_answer, q, 0);
}

static bool monitor_is_asked(const Monitor *m, QuestionKind kind, const char *path)
{
        for (unsigned i = 0; i < m->questions->len; i++) {
                const Question *q = m->questions->pdata[i];

                if (q->kind == kind && strcmp(q->path, path) == 0)
                        return true;
        }

        return false;
}

static int monitor_ask_managed(Monitor *m, bool start_daemon)
{
        m->ready = m->present = false;
        g_ptr_array_set_size(m->questions, 0);
        return monitor_ask(m, QUESTION_MANAGED, VGPUD_PATH_ROOT, 0, start_daemon);
}

static int monitor_ask_lists(Monitor *m)
{
        int r;

        r = monitor_ask(m, QUESTION_ALL_TYPES, VGPUD_PATH_ROOT, 0, false);
        if (r >= 0)
                r = monitor_ask(m, QUESTION_DEFINITIONS, VGPUD_PATH_ROOT, 0, false);

        for (unsigned i = 0; r >= 0 && i < host_n(m->host, OBJECT_GPU); i++)
                r = monitor_ask(m, QUESTION_VFS, host_gpu(m->host, i)->path, 0, false);

        return r;
}

static int monitor_read_parents(GpuInfo *g, sd_bus_message *answer)
{
        const Field *f = field_find(&object_kinds[OBJECT_GPU].table, "parents");
        int r;

        r = value_enter(answer, f->signature);

        return r <= 0 ? r : field_read(answer, f, g);
}

/* Reads one list of a GPU: its types, its VFs or its parents. */
static int monitor_read_list(Monitor *m, const Question *q, GpuInfo *g, sd_bus_message *answer)
{
        static const char *const names[] = {
                [QUESTION_TYPES] = "types",
                [QUESTION_VFS] = "vfs",
                [QUESTION_PARENTS] = "parents",
        };
        int r;

        g_assert((size_t)q->kind < G_N_ELEMENTS(names) && names[q->kind]);

        if (q->kind == QUESTION_TYPES)
                r = type_table_read(m->host, answer);
        else if (q->kind == QUESTION_VFS) {
                g_ptr_array_set_size(g->vfs, 0);
                r = columns_read(answer, &vf_fields, g->vfs, vf_new);
        } else
                r = monitor_read_parents(g, answer);

        if (r < 0)
                return r;

        if ((q->flags & QUESTION_ADDED) && q->kind == QUESTION_TYPES)
                return monitor_ask(m, QUESTION_VFS, g->path, QUESTION_ADDED, false);

        if (m->present && (q->flags & QUESTION_ADDED))
                say_added(m->args, OBJECT_GPU, g);
        else if (m->present && (q->flags & QUESTION_SAY))
                say_list_changed(m->args, g, names[q->kind]);

        return 0;
}

/* True if the daemon may come later. */
static bool monitor_may_wait(const Monitor *m, const ErrorInfo *explained)
{
        return explained->status == EXIT_FAILURE && !m->args->host &&
               strcmp(explained->name, SD_BUS_ERROR_UNKNOWN_METHOD) != 0;
}

static int monitor_on_error(Monitor *m, QuestionKind kind, sd_bus_message *answer)
{
        _cleanup_error_info_ ErrorInfo said = { 0 }, e = { 0 };

        /* The lists of a GPU cannot be read if the GPU has gone. */
        if (kind > QUESTION_DEFINITIONS)
                return 0;

        call_error_read(&said, answer);
        call_error_explain(&e, m->args, &said, "Could not ask vgpud");
        if (!monitor_may_wait(m, &e))
                return monitor_give_up(m, error_info_print(m->args, &e, NULL));

        monitor_set_absent(m);

        return monitor_flush(m);
}

static int monitor_take_answer(Monitor *m, const Question *q, sd_bus_message *answer)
{
        GpuInfo *g;
        int r;

        if (q->kind == QUESTION_MANAGED) {
                client_learn_daemon(&m->client, answer);
                r = host_read_managed(m->host, answer);
                m->ready = r >= 0;
                return r < 0 ? r : monitor_ask_lists(m);
        }

        if (q->kind == QUESTION_ALL_TYPES)
                return type_table_read(m->host, answer);

        if (q->kind == QUESTION_DEFINITIONS)
                return host_read_table(m->host, OBJECT_DEFINITION, answer);

        g = host_find_path(m->host, OBJECT_GPU, q->path);

        return g ? monitor_read_list(m, q, g, answer) : 0;
}

static int monitor_on_answer(sd_bus_message *answer, void *userdata, sd_bus_error *ret_error)
{
        Question *q = userdata;
        Monitor *m = q->monitor;
        unsigned index;
        int r;

        /* The question leaves the array, but lives until the end of this function. */
        assert_se(g_ptr_array_find(m->questions, q, &index));
        (void)g_ptr_array_steal_index(m->questions, index);

        if (sd_bus_message_is_method_error(answer, NULL)) {
                r = monitor_on_error(m, q->kind, answer);
        } else {
                r = monitor_take_answer(m, q, answer);
                if (r < 0)
                        r = monitor_give_up(m, client_unreadable(&m->client, r));
        }

        question_free(q);
        if (r < 0 || m->status != 0)
                return r;

        if (m->ready && !m->present && m->questions->len == 0) {
                m->present = true;
                m->absent = false;
                say_present(m->args, m->host);
        }

        return monitor_flush(m);
}

/* ---- signals of the daemon ---- */

static int monitor_added(Monitor *m, ObjectKind kind, const char *path, sd_bus_message *signal)
{
        bool lists_first = kind == OBJECT_GPU && m->args->full;
        void *object;
        int r;

        r = host_read_object(m->host, kind, path, signal, NULL, &object);
        if (r < 0)
                return r;

        host_derive_jobs(m->host);
        if (m->present && !lists_first)
                say_added(m->args, kind, object);
        if (kind != OBJECT_GPU)
                return 0;

        r = monitor_ask(m, QUESTION_TYPES, path, lists_first && m->present ? QUESTION_ADDED : 0, false);

        return r < 0 || lists_first ? r : monitor_ask(m, QUESTION_VFS, path, 0, false);
}

/* An object whose interfaces are being read. */
typedef struct MonitorAddition {
        Monitor *monitor;
        const char *path;
} MonitorAddition;

static int monitor_read_interface(sd_bus_message *signal, const char *interface, void *userdata)
{
        const MonitorAddition *addition = userdata;
        ObjectKind kind = object_kind_from_interface(interface);

        return kind == _OBJECT_KIND_INVALID ? sd_bus_message_skip(signal, "a{sv}")
                                            : monitor_added(addition->monitor, kind, addition->path, signal);
}

static int monitor_interfaces_added(Monitor *m, sd_bus_message *signal)
{
        MonitorAddition addition = { .monitor = m };
        int r;

        r = sd_bus_message_read_basic(signal, 'o', &addition.path);

        return r < 0 ? r : value_read_entries(signal, "sa{sv}", monitor_read_interface, &addition);
}

/* Read the names of the properties that the signal announces without their values. */
static int monitor_invalidated(Monitor *m, GpuInfo *g, sd_bus_message *signal)
{
        const char *name;
        int r;

        r = sd_bus_message_enter_container(signal, 'a', "s");

        while (r >= 0 && (r = sd_bus_message_read_basic(signal, 's', &name)) > 0) {
                if (strcmp(name, "Parents") != 0)
                        continue;

                if (m->args->full)
                        r = monitor_ask(m, QUESTION_PARENTS, g->path, QUESTION_SAY, false);
                else if (m->present)
                        say_list_changed(m->args, g, "parents");
        }

        return r;
}

static int monitor_properties_changed(Monitor *m, sd_bus_message *signal)
{
        g_autoptr(GPtrArray) keys = g_ptr_array_new();
        const char *interface, *path = sd_bus_message_get_path(signal);
        ObjectKind kind;
        void *object;
        int r;

        r = sd_bus_message_read_basic(signal, 's', &interface);
        if (r < 0)
                return r;

        if (strcmp(interface, VGPUD_INTERFACE_MANAGER) == 0)
                return apply_readiness(m->args, m->present, signal);

        kind = object_kind_from_interface(interface);
        object = kind == _OBJECT_KIND_INVALID ? NULL : host_find_path(m->host, kind, path);
        if (!object)
                return 0;

        r = host_read_object(m->host, kind, path, signal, keys, NULL);
        if (r < 0)
                return r;

        host_derive_jobs(m->host);
        if (m->present)
                say_changed(m->args, kind, object, keys);

        return kind == OBJECT_GPU ? monitor_invalidated(m, object, signal) : 0;
}

/* A row of the signal TypesChanged. */
typedef struct TypeRow {
        uint32_t row;
        int64_t available;
} TypeRow;

static void *monitor_type_row_new(void)
{
        return g_new0(TypeRow, 1);
}

static int monitor_types_changed(Monitor *m, sd_bus_message *signal)
{
        static const Field fields[] = {
                { NULL, "row", "u", offsetof(TypeRow, row), 0 },
                { NULL, "available", "u", offsetof(TypeRow, available), IS_NUMBER },
        };
        static const FieldTable table = { fields, G_N_ELEMENTS(fields) };
        g_autoptr(GPtrArray) rows = g_ptr_array_new_with_free_func(g_free);
        g_autoptr(GArray) changes = g_array_new(false, false, sizeof(TypeChange));
        const char *path = sd_bus_message_get_path(signal);
        GpuInfo *g = host_find_path(m->host, OBJECT_GPU, path);
        int r, list_changed;

        if (!g)
                return 0;

        r = sd_bus_message_read_basic(signal, 'b', &list_changed);
        if (r < 0)
                return r;

        /* Ignore the signal while a question is open: the answer will include the change. */
        if (monitor_is_asked(m, QUESTION_TYPES, path) ||
            monitor_is_asked(m, QUESTION_ALL_TYPES, VGPUD_PATH_ROOT))
                return 0;

        if (list_changed || m->args->full)
                return monitor_ask(m, QUESTION_TYPES, path, QUESTION_SAY, false);

        r = columns_read(signal, &table, rows, monitor_type_row_new);
        if (r < 0)
                return r;

        for (unsigned i = 0; i < rows->len; i++) {
                const TypeRow *row = rows->pdata[i];
                TypeChange change;

                if (row->row >= g->types->len)
                        return -EBADMSG;

                change = (TypeChange){ .row = row->row, .before = gpu_type(g, row->row)->available };
                gpu_type(g, row->row)->available = row->available;
                if (change.before != row->available) /* otherwise only the reason changed */
                        g_array_append_val(changes, change);
        }

        if (m->present && changes->len > 0)
                say_types_changed(m->args, g, changes);

        return 0;
}

static int monitor_vfs_changed(Monitor *m, sd_bus_message *signal)
{
        g_autoptr(GPtrArray) rows = vfs_new();
        const char *path = sd_bus_message_get_path(signal);
        GpuInfo *g = host_find_path(m->host, OBJECT_GPU, path);
        int r, list_changed;

        if (!g)
                return 0;

        r = sd_bus_message_read_basic(signal, 'b', &list_changed);
        if (r < 0)
                return r;

        if (monitor_is_asked(m, QUESTION_VFS, path))
                return 0;

        if (list_changed)
                return monitor_ask(m, QUESTION_VFS, path, QUESTION_SAY, false);

        r = columns_read(signal, &vf_fields, rows, vf_change_new);
        if (r < 0)
                return r;

        vfs_apply(g->vfs, rows);

        if (m->present && rows->len > 0)
                say_vfs_changed(m->args, g, rows);

        return 0;
}

static int monitor_on_signal(sd_bus_message *signal, void *userdata, sd_bus_error *ret_error)
{
        static const struct {
                const char *interface;
                const char *member;
                int (*read)(Monitor *m, sd_bus_message *signal); /* NULL: apply() */
                int (*apply)(const Arguments *a, Host *h, bool say, sd_bus_message *signal);
        } table[] = {
                { "org.freedesktop.DBus.ObjectManager", "InterfacesAdded", monitor_interfaces_added, NULL },
                { "org.freedesktop.DBus.ObjectManager", "InterfacesRemoved", NULL, apply_interfaces_removed },
                { "org.freedesktop.DBus.Properties", "PropertiesChanged", monitor_properties_changed, NULL },
                { VGPUD_INTERFACE_GPU, "TypesChanged", monitor_types_changed, NULL },
                { VGPUD_INTERFACE_GPU, "VfsChanged", monitor_vfs_changed, NULL },
                { VGPUD_INTERFACE_MANAGER, "JobRemoved", NULL, apply_job_removed },
                { VGPUD_INTERFACE_MANAGER, "DefinitionAdded", NULL, apply_definition_added },
                { VGPUD_INTERFACE_MANAGER, "DefinitionChanged", NULL, apply_definition_changed },
                { VGPUD_INTERFACE_MANAGER, "DefinitionRemoved", NULL, apply_definition_removed },
        };
        Monitor *m = userdata;

        if (!m->ready || !client_is_from_daemon(&m->client, signal))
                return 0;

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                int r;

                if (!sd_bus_message_is_signal(signal, table[i].interface, table[i].member))
                        continue;

                r = table[i].read ? table[i].read(m, signal)
                                  : table[i].apply(m->args, m->host, m->present, signal);
                if (r < 0) /* the copy may be wrong from now on */
                        return monitor_ask_managed(m, false);

                return monitor_flush(m);
        }

        return 0;
}

static int monitor_on_owner(sd_bus_message *signal, void *userdata, sd_bus_error *ret_error)
{
        const char *name, *before, *after;
        Monitor *m = userdata;
        int r;

        if (!client_is_from_bus(signal))
                return 0;

        r = sd_bus_message_read(signal, "sss", &name, &before, &after);
        if (r < 0)
                return r;

        if (*after)
                return monitor_ask_managed(m, false);

        monitor_set_absent(m);

        return monitor_flush(m);
}

/* ---- start and end ---- */

static int monitor_on_end(sd_event_source *source, const struct signalfd_siginfo *si, void *userdata)
{
        Monitor *m = userdata;

        return sd_event_exit(m->event, 0);
}

/* Notices a closed pipe even while there is nothing to print. */
static int monitor_on_reader_gone(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
        return monitor_give_up(userdata, EXIT_FAILURE);
}

static int monitor_watch_reader(Monitor *m)
{
        int r;

        /* sd-event reports errors and hang-ups even if the mask of events is empty. */
        r = sd_event_add_io(m->event, NULL, STDOUT_FILENO, 0, monitor_on_reader_gone, m);

        return r == -EPERM ? 0 : r; /* a regular file has no reader */
}

static int monitor_subscribe(Monitor *m)
{
        int r;

        r = sd_event_new(&m->event);
        if (r < 0)
                return r;

        r = interrupt_watch(m->event, monitor_on_end, m);
        if (r >= 0)
                r = monitor_watch_reader(m);
        if (r >= 0)
                r = sd_bus_attach_event(m->client.bus, m->event, SD_EVENT_PRIORITY_NORMAL);
        if (r >= 0)
                r = sd_bus_set_exit_on_disconnect(m->client.bus, true);
        if (r >= 0)
                r = sd_bus_add_match(
                                m->client.bus, NULL,
                                "type='signal',sender='org.freedesktop.DBus',interface='org.freedesktop.DBus',member='NameOwnerChanged',arg0='" VGPUD_BUS_NAME
                                "'",
                                monitor_on_owner, m);
        if (r >= 0)
                r = sd_bus_add_match(m->client.bus, NULL,
                                     "type='signal',sender='" VGPUD_BUS_NAME
                                     "',path_namespace='" VGPUD_PATH_ROOT "'",
                                     monitor_on_signal, m);

        return r < 0 ? r : monitor_ask_managed(m, true);
}

static int monitor_loop(Monitor *m)
{
        int r;

        r = monitor_subscribe(m);
        if (client_is_lost(r))
                return client_failed_lost(&m->client, r);
        if (r < 0)
                return fail(m->args, VGPUD_ERROR_FAILED, NULL,
                            "Could not subscribe to the signals of vgpud: %s", strerror(-r));

        r = sd_event_loop(m->event);
        if (m->status == 0 && r != 0)
                return fail(m->args, VGPUD_ERROR_FAILED, NULL, "The connection to the bus is gone");

        return m->status;
}

static int monitor_run(const Arguments *a)
{
        Monitor m = { .args = a };
        int status;

        g_assert(a->n_words == 0);

        if (a->full && !a->json)
                return fail_usage(a, "--full needs --json");

        m.host = host_new();
        m.questions = g_ptr_array_new_with_free_func(question_free);

        status = client_open(&m.client, a);
        if (status == 0)
                status = monitor_loop(&m);
        g_ptr_array_unref(m.questions);
        client_close(&m.client);
        sd_event_unref(m.event);
        (void)host_free(m.host);

        return status;
}

const VerbInfo verb_monitor = {
        .name = "monitor",
        .words = "",
        .options = OPTION_FULL,
        .run = monitor_run,
        .text = "Print events, until Ctrl-C",
};
