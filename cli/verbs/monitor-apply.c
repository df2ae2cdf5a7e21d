/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "cli/verbs/monitor-apply.h"

#include "cli/host/fields.h"
#include "cli/host/find.h"
#include "cli/host/values.h"
#include "cli/verbs/monitor-say.h"

int apply_interfaces_removed(const Arguments *a, Host *h, bool say, sd_bus_message *signal)
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
                void *object = kind == _OBJECT_KIND_INVALID ? NULL : host_find_path(h, kind, path);

                /* Keep the job: JobRemoved follows, and does not repeat the constant properties of the object.
                 */
                if (!object || kind == OBJECT_JOB)
                        continue;

                if (say)
                        say_removed(a, kind, object);
                host_remove_path(h, kind, path);
                host_derive_jobs(h);
        }

        return r;
}

int apply_job_removed(const Arguments *a, Host *h, bool say, sd_bus_message *signal)
{
        const char *path, *result, *error_name;
        JobInfo *j;
        uint32_t id;
        int r;

        r = sd_bus_message_read(signal, "uoss", &id, &path, &result, &error_name);
        if (r >= 0)
                r = host_read_job(h, path, signal, &j);
        if (r < 0)
                return r;

        j->id = id;
        g_free(j->state);
        j->state = g_strdup("ended");
        g_free(j->result);
        j->result = g_strdup(result);
        g_free(j->error_name);
        j->error_name = g_strdup(error_name);

        if (say)
                say_job_ended(a, j);

        host_remove_path(h, OBJECT_JOB, path);
        host_derive_jobs(h);

        return 0;
}

/* ---- definitions ---- */

int apply_definition_added(const Arguments *a, Host *h, bool say, sd_bus_message *signal)
{
        DefinitionInfo *d;
        const char *uuid;
        int r;

        r = sd_bus_message_read_basic(signal, 's', &uuid);
        if (r >= 0)
                r = host_read_definition(h, uuid, signal, NULL, &d);
        if (r >= 0 && say)
                say_added(a, OBJECT_DEFINITION, d);

        return r;
}

int apply_definition_changed(const Arguments *a, Host *h, bool say, sd_bus_message *signal)
{
        g_autoptr(GPtrArray) keys = g_ptr_array_new();
        DefinitionInfo *d;
        const char *uuid;
        int r;

        r = sd_bus_message_read_basic(signal, 's', &uuid);
        if (r >= 0)
                r = host_read_definition(h, uuid, signal, keys, &d);
        if (r < 0)
                return r;

        /* "state" and "differs" also change without DefinitionChanged, so a new value may be older than this
         * signal: do not print it as a change. */
        for (unsigned i = keys->len; i-- > 0;)
                if (field_find(&object_kinds[OBJECT_DEFINITION].table, keys->pdata[i])->flags & NOT_ANNOUNCED)
                        (void)g_ptr_array_remove_index(keys, i);
        if (say)
                say_changed(a, OBJECT_DEFINITION, d, keys);

        return 0;
}

int apply_definition_removed(const Arguments *a, Host *h, bool say, sd_bus_message *signal)
{
        const char *uuid;
        void *d;
        int r;

        r = sd_bus_message_read_basic(signal, 's', &uuid);
        if (r < 0)
                return r;

        d = host_find_path(h, OBJECT_DEFINITION, uuid);
        if (d && say)
                say_removed(a, OBJECT_DEFINITION, d);
        host_remove_path(h, OBJECT_DEFINITION, uuid);

        return 0;
}

/* ---- the daemon ---- */

static int apply_read_property(sd_bus_message *signal, const char *key, void *userdata)
{
        const TextEntry texts[] = { { "Readiness", userdata }, { NULL, NULL } };

        return value_read_texts(signal, key, texts);
}

int apply_readiness(const Arguments *a, bool say, sd_bus_message *signal)
{
        g_autofree char *readiness = NULL;
        int r;

        r = value_read_dictionary(signal, apply_read_property, &readiness);
        if (r >= 0 && readiness && say)
                say_readiness(a, readiness);

        return r;
}
