/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "cli/client/call-error.h"

#include <stdlib.h>
#include <string.h>

#include "cli/host/fields.h"
#include "cli/host/find.h"
#include "cli/host/values.h"

/* ---- reading ---- */

static int call_error_read_paths(sd_bus_message *m, const char *key, ErrorInfo *e)
{
        bool is_jobs = strcmp(key, "jobs") == 0;
        const char *path;
        int r;

        r = value_enter(m, "ao");
        if (r <= 0)
                return r;

        r = sd_bus_message_enter_container(m, 'a', "o");
        while (r >= 0 && (r = sd_bus_message_read_basic(m, 'o', &path)) > 0) {
                char *uuid = is_jobs ? NULL : uuid_from_path(path);

                if (is_jobs && job_id_from_path(path) != 0)
                        error_info_add_job(e, job_id_from_path(path));
                else if (uuid)
                        error_info_add_instance(e, uuid);
        }

        if (r >= 0)
                r = sd_bus_message_exit_container(m);

        return r < 0 ? r : sd_bus_message_exit_container(m);
}

static int call_error_read_entry(sd_bus_message *m, const char *key, void *userdata)
{
        static const Field failures = { NULL, "failures", "aa{sv}", offsetof(ErrorInfo, failures), 0 };
        static const Field n_failures = { NULL, "n_failures", "u", offsetof(ErrorInfo, n_failures), 0 };
        ErrorInfo *e = userdata;
        const TextEntry texts[] = { { "hint", &e->hint }, { "hint_id", &e->hint_id }, { NULL } };
        const Field *f = strcmp(key, "failures") == 0     ? &failures
                         : strcmp(key, "n_failures") == 0 ? &n_failures
                                                          : NULL;
        const char *path;
        int r;

        if (strcmp(key, "jobs") == 0 || strcmp(key, "instances") == 0)
                return call_error_read_paths(m, key, e);

        if (strcmp(key, "job") == 0) {
                r = value_enter(m, "o");
                if (r <= 0)
                        return r;

                r = sd_bus_message_read_basic(m, 'o', &path);
                if (r >= 0)
                        e->job = job_id_from_path(path);
                return r < 0 ? r : sd_bus_message_exit_container(m);
        }

        if (!f)
                return value_read_texts(m, key, texts);

        r = value_enter(m, f->signature);
        if (r <= 0)
                return r;

        if (f == &failures && !e->failures)
                e->failures = failures_new();
        r = field_read(m, f, e);

        return r < 0 ? r : sd_bus_message_exit_container(m);
}

/* Move the hint out of the message. Without the option error_details, the message ends with the hint, on a line
 * of its own. */
static void call_error_split_hint(ErrorInfo *e)
{
        char *hint = strstr(e->message, "\nHint: ");

        if (!hint)
                return;

        *hint = 0;
        if (!e->hint)
                e->hint = g_strdup(hint + strlen("\nHint: "));
}

void call_error_set(ErrorInfo *e, const char *name, const char *message)
{
        g_assert(!e->name);

        e->name = g_strdup(name ? name : SD_BUS_ERROR_FAILED);
        e->message = g_strdup(message && *message ? message : "no reason was given");
        call_error_split_hint(e);
}

void call_error_set_errno(ErrorInfo *e, int r)
{
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;

        g_assert(r < 0);

        (void)sd_bus_error_set_errno(&error, r);
        call_error_set(e, error.name, error.message);
}

void call_error_read(ErrorInfo *e, sd_bus_message *answer)
{
        const sd_bus_error *error = sd_bus_message_get_error(answer);
        const char *message;

        g_assert(!e->name);

        call_error_set(e, error->name, error->message);

        if (sd_bus_message_rewind(answer, true) < 0 || !sd_bus_message_has_signature(answer, "sa{sv}") ||
            sd_bus_message_read_basic(answer, 's', &message) < 0)
                return;

        /* Details that cannot be read are left out: the message alone is enough. */
        (void)value_read_dictionary(answer, call_error_read_entry, e);
        if (e->job != 0 && !e->jobs) {
                uint32_t job = e->job;

                error_info_add_job(e, job);
        }
}

void call_error_set_job(ErrorInfo *e, const JobInfo *j)
{
        g_assert(!e->name);

        call_error_set(e, *j->error_name ? j->error_name : vgpud_error_code_to_dbus(VGPUD_ERROR_FAILED),
                       j->message);

        if (*j->hint) {
                g_free(e->hint);
                e->hint = g_strdup(j->hint);
        }

        if (*j->hint_id)
                e->hint_id = g_strdup(j->hint_id);
        if (j->id != 0)
                error_info_add_job(e, j->id);
        for (char **p = j->instances; *p; p++) {
                char *uuid = uuid_from_path(*p);

                if (uuid)
                        error_info_add_instance(e, uuid);
        }

        e->failures = g_ptr_array_ref(j->failures);
        e->n_failures = j->n_failures;
}

/* ---- explaining ---- */

/* An error of the bus, systemd or libsystemd, and how vgpuctl explains it. */
typedef struct ForeignError {
        const char *prefix;      /* begins the name */
        const char *text;        /* the message of the error follows in parentheses */
        const char *remote_text; /* the name of the other host follows; NULL: the same text */
        VgpudErrorCode code;
        VgpudHintId hint_id;
        const char *hint;        /* NULL: the general hint of the code */
        const char *remote_hint; /* NULL: the same hint */
} ForeignError;

#define ABSENT                                                                                            \
        "vgpud does not run, and could not be started", NULL, VGPUD_ERROR_NONE, VGPUD_HINT_CHECK_SERVICE, \
                        "check that vgpud is installed and runs: systemctl status vgpud", NULL
#define LOST                                                                                                    \
        "vgpud went away or did not answer", "no answer from", VGPUD_ERROR_NONE, VGPUD_HINT_CHECK_SERVICE,      \
                        "check vgpud with \"systemctl status vgpud\", and the instances with \"vgpuctl list\"", \
                        "check that \"ssh HOST systemd-stdio-bridge\" works, and that vgpud runs there"
#define DENIED "not permitted", NULL, VGPUD_ERROR_NOT_AUTHORIZED, VGPUD_HINT_NONE, NULL, NULL
#define OTHER_VERSION                                                                                         \
        "vgpud does not know this call", NULL, VGPUD_ERROR_NONE, VGPUD_HINT_RESTART_DAEMON,                   \
                        "check that vgpud and vgpuctl have the same version; restart vgpud after an upgrade", \
                        NULL

static const ForeignError foreign_errors[] = {
        { SD_BUS_ERROR_SERVICE_UNKNOWN, ABSENT },
        { SD_BUS_ERROR_NAME_HAS_NO_OWNER, ABSENT },
        { "org.freedesktop.DBus.Error.Spawn.", ABSENT },
        { "org.freedesktop.systemd1.", ABSENT },
        { SD_BUS_ERROR_NO_REPLY, LOST },
        { SD_BUS_ERROR_DISCONNECTED, LOST },
        { SD_BUS_ERROR_TIMEOUT, LOST },
        { SD_BUS_ERROR_NO_SERVER, LOST },
        { "System.Error.ECONNRESET", LOST },
        { "System.Error.EPIPE", LOST },
        { "System.Error.ENOTCONN", LOST },
        { "System.Error.ETIMEDOUT", LOST },
        { SD_BUS_ERROR_ACCESS_DENIED, DENIED },
        { SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED, DENIED },
        { SD_BUS_ERROR_AUTH_FAILED, DENIED },
        { "System.Error.EACCES", DENIED },
        { "System.Error.EPERM", DENIED },
        { SD_BUS_ERROR_UNKNOWN_METHOD, OTHER_VERSION },
        { SD_BUS_ERROR_UNKNOWN_INTERFACE, OTHER_VERSION },
        { SD_BUS_ERROR_UNKNOWN_PROPERTY, OTHER_VERSION },
        { SD_BUS_ERROR_INVALID_SIGNATURE, OTHER_VERSION },
};

static const ForeignError *foreign_error_find(const char *name)
{
        for (size_t i = 0; i < G_N_ELEMENTS(foreign_errors); i++)
                if (g_str_has_prefix(name, foreign_errors[i].prefix))
                        return &foreign_errors[i];

        return NULL;
}

static void call_error_explain_foreign(ErrorInfo *e, const Arguments *a, const ForeignError *f,
                                       const char *asked)
{
        bool remote = a->host && f->remote_text;
        char *message = g_strdup_printf("%s: %s%s%s (%s)", asked, remote ? f->remote_text : f->text,
                                        remote ? " " : "", remote ? a->host : "", e->message);

        g_free(e->message);
        e->message = message;
        e->status = f->code != VGPUD_ERROR_NONE ? vgpud_error_code_to_exit_status(f->code) : EXIT_FAILURE;

        if (f->hint)
                error_info_set_hint(e, f->hint_id, a->host && f->remote_hint ? f->remote_hint : f->hint);
        else
                error_info_set_general_hint(e, f->code);
}

void call_error_explain(ErrorInfo *e, const Arguments *a, const ErrorInfo *said, const char *asked)
{
        const ForeignError *f;
        VgpudErrorCode code;
        char *message;

        g_assert(!e->name);

        g_assert(said->name);

        error_info_copy(e, said);

        f = foreign_error_find(e->name);
        if (f) {
                call_error_explain_foreign(e, a, f, asked);
                return;
        }

        message = g_strdup_printf("%s: %s", asked, e->message);
        g_free(e->message);
        e->message = message;
        code = strcmp(e->name, SD_BUS_ERROR_INVALID_ARGS) == 0 ? VGPUD_ERROR_INVALID
                                                               : vgpud_error_code_from_dbus(e->name);
        e->status = code != VGPUD_ERROR_NONE ? vgpud_error_code_to_exit_status(code) : EXIT_FAILURE;

        if (!e->hint && code != VGPUD_ERROR_NONE)
                error_info_set_general_hint(e, code);
}
