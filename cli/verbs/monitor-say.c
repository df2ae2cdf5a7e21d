/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "cli/verbs/monitor-say.h"

#include <stdio.h>
#include <string.h>

#include "cli/host/fields.h"
#include "cli/host/find.h"
#include "cli/host/job-kinds.h"
#include "cli/host/objects-json.h"
#include "cli/host/report.h"
#include "cli/host/type-table.h"
#include "cli/output/format.h"
#include "cli/output/json.h"

/* ---- the two forms ---- */

static void say_line(const char *format, ...) _printf_(1, 2);
static void say_line(const char *format, ...)
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

static Json event_begin_of(ObjectKind kind, const char *what)
{
        g_autofree char *event = g_strdup_printf("%s-%s", object_kind_to_string(kind), what);

        return event_begin(event);
}

/* Write the name and the path of the object, and no other members. */
static void event_reference(Json *j, ObjectKind kind, const void *object)
{
        if (kind == OBJECT_GPU)
                json_string(j, "gpu", ((const GpuInfo *)object)->name);
        else if (kind == OBJECT_INSTANCE)
                json_string(j, "instance", ((const InstanceInfo *)object)->uuid);
        else if (kind == OBJECT_DEFINITION)
                json_string(j, "definition", ((const DefinitionInfo *)object)->uuid);
        else
                json_u64(j, "job", ((const JobInfo *)object)->id);

        if (kind != OBJECT_DEFINITION)
                json_string(j, "object_path", *(char *const *)object);
}

/* ---- texts ---- */

static char *say_object_id(ObjectKind kind, const void *object)
{
        if (kind == OBJECT_GPU)
                return g_strdup(((const GpuInfo *)object)->name);
        if (kind == OBJECT_INSTANCE)
                return g_strdup(((const InstanceInfo *)object)->uuid);
        if (kind == OBJECT_DEFINITION)
                return g_strdup(((const DefinitionInfo *)object)->uuid);

        return format_number(((const JobInfo *)object)->id);
}

static char *say_describe_gpu(const GpuInfo *g)
{
        g_autofree char *title = gpu_title(g);

        return g_strdup_printf("%s%s%s%s%s", title ? title : "", title ? ", " : "", g->state,
                               *g->reason ? ": " : "", g->reason);
}

static char *say_describe_instance(const Arguments *a, const InstanceInfo *i)
{
        g_autofree char *owner = owner_text(a, i->owner);

        return g_strdup_printf("%s on %s%s%s, %s%s%s", *i->type ? i->type : "type not known yet", i->gpu_name,
                               *i->name ? ", named " : "", i->name,
                               strcmp(i->origin, "foreign") == 0 ? "foreign" : "made by vgpud",
                               owner ? " for " : "", owner ? owner : "");
}

static char *say_describe_definition(const Arguments *a, const DefinitionInfo *d)
{
        g_autofree char *owner = owner_text(a, d->owner);

        return g_strdup_printf("%s%s%s%s%s%s%s%s%s", d->type, *d->gpu ? " on " : "", d->gpu,
                               *d->pool ? " in pool " : "", d->pool, *d->name ? ", named " : "", d->name,
                               owner ? ", of " : "", owner ? owner : "");
}

static char *say_describe_job(const Arguments *a, const JobInfo *j)
{
        g_autofree char *target = job_target_text(j), *user = format_user(a, j->requester);

        return g_strdup_printf("%s%s%s on %s, asked by %s, %s", j->kind, target ? " " : "",
                               target ? target : "", j->gpu_name, user ? user : "vgpud", j->state);
}

static char *say_describe(const Arguments *a, ObjectKind kind, const void *object)
{
        if (kind == OBJECT_GPU)
                return say_describe_gpu(object);
        if (kind == OBJECT_INSTANCE)
                return say_describe_instance(a, object);
        if (kind == OBJECT_DEFINITION)
                return say_describe_definition(a, object);

        return say_describe_job(a, object);
}

/* Jobs are always printed in full. Definitions never are, because their signals carry no attributes. */
static bool say_is_full(const Arguments *a, ObjectKind kind)
{
        return kind == OBJECT_JOB || (a->full && kind != OBJECT_DEFINITION);
}

/* ---- the daemon ---- */

static void say_present_json(const Arguments *a, const Host *h)
{
        static const char *const keys[_OBJECT_KIND_MAX] = {
                [OBJECT_GPU] = "gpus",
                [OBJECT_INSTANCE] = "instances",
                [OBJECT_DEFINITION] = "definitions",
                [OBJECT_JOB] = "jobs",
        };
        Json j = event_begin("daemon-present");

        for (ObjectKind k = 0; k < _OBJECT_KIND_MAX; k++) {
                json_array(&j, keys[k]);
                for (unsigned i = 0; i < host_n(h, k); i++)
                        json_object_info(&j, NULL, k, h->objects[k]->pdata[i], say_is_full(a, k));
                json_array_end(&j);
        }

        event_end(&j);
}

void say_present(const Arguments *a, const Host *h)
{
        if (a->json)
                say_present_json(a, h);
        else
                say_line("vgpud runs: GPUs: %u; instances: %u; definitions: %u; jobs: %u",
                         host_n(h, OBJECT_GPU), host_n(h, OBJECT_INSTANCE), host_n(h, OBJECT_DEFINITION),
                         host_n(h, OBJECT_JOB));
}

void say_absent(const Arguments *a)
{
        if (a->json) {
                Json j = event_begin("daemon-absent");

                event_end(&j);
        } else
                say_line("vgpud does not run; waiting for its start");
}

void say_readiness(const Arguments *a, const char *readiness)
{
        if (a->json) {
                Json j = event_begin("readiness-changed");

                json_string(&j, "readiness", readiness);
                event_end(&j);
        } else
                say_line("The host is %s%s", readiness,
                         strcmp(readiness, "degraded") == 0
                                         ? ": instances or settings are missing; \"vgpuctl wait --ready\" lists them"
                         : strcmp(readiness, "ready") == 0 ? ": no instances and no settings are missing"
                                                           : "");
}

/* ---- objects ---- */

void say_added(const Arguments *a, ObjectKind kind, const void *object)
{
        g_autofree char *id = NULL, *text = NULL;

        g_assert(kind >= 0 && kind < _OBJECT_KIND_MAX);

        if (a->json) {
                Json j = event_begin_of(kind, "added");

                json_object_info(&j, object_kind_to_string(kind), kind, object, say_is_full(a, kind));
                event_end(&j);
                return;
        }

        id = say_object_id(kind, object);
        text = say_describe(a, kind, object);
        say_line("%s %s added: %s", object_kind_to_string(kind), id, text);
}

void say_removed(const Arguments *a, ObjectKind kind, const void *object)
{
        g_autofree char *id = NULL;

        g_assert(kind != OBJECT_JOB); /* say_job_ended() has the result */

        if (a->json) {
                Json j = event_begin_of(kind, "removed");

                if (a->full)
                        json_object_info(&j, object_kind_to_string(kind), kind, object, say_is_full(a, kind));
                else
                        event_reference(&j, kind, object);

                event_end(&j);
                return;
        }

        id = say_object_id(kind, object);
        say_line("%s %s removed", object_kind_to_string(kind), id);
}

void say_job_ended(const Arguments *a, const JobInfo *job)
{
        g_assert(strcmp(job->state, "ended") == 0);

        if (a->json) {
                Json j = event_begin("job-ended");

                json_object_info(&j, "job", OBJECT_JOB, job, true);
                event_end(&j);
        } else
                say_line("job %" G_GUINT32_FORMAT " ended: %s%s%s", job->id, job->result,
                         *job->message ? ": " : "", job->message);
}

/* ---- changes ---- */

static void say_changed_full(ObjectKind kind, const void *object, const GPtrArray *keys)
{
        Json j = event_begin_of(kind, "changed");

        json_array(&j, "changed");

        for (unsigned i = 0; i < keys->len; i++)
                json_string(&j, NULL, keys->pdata[i]);
        json_array_end(&j);
        json_object_info(&j, object_kind_to_string(kind), kind, object, kind != OBJECT_DEFINITION);
        event_end(&j);
}

static void say_changed_list(const Arguments *a, const GpuInfo *g, const char *list)
{
        g_autoptr(GPtrArray) keys = g_ptr_array_new();

        g_ptr_array_add(keys, (char *)list);
        say_changed_full(OBJECT_GPU, g, keys);
}

static Json event_begin_changes(ObjectKind kind, const void *object)
{
        Json j = event_begin_of(kind, "changed");

        event_reference(&j, kind, object);
        json_object(&j, "changes");

        return j;
}

static char *say_modes_text(const GpuInfo *g)
{
        GString *s = g_string_new(NULL);

        for (unsigned i = 0; i < g->modes->len; i++) {
                const ModeInfo *mode = g->modes->pdata[i];

                g_string_append_printf(s, "%s%s %s", i > 0 ? ", " : "", mode->name, mode->value);
        }

        return g_string_free(s, false);
}

static void say_changed_text(ObjectKind kind, const void *object, const GPtrArray *keys)
{
        g_autofree char *id = say_object_id(kind, object);
        g_autoptr(GString) s = g_string_new(NULL);

        for (unsigned i = 0; i < keys->len; i++) {
                const char *key = keys->pdata[i];
                g_autofree char *value = NULL;

                /* Leave out times: the line begins with the time of the change. */
                if (g_str_has_suffix(key, "_usec"))
                        continue;

                value = strcmp(key, "modes") == 0 ? say_modes_text(object)
                                                  : object_value_text(kind, object, key);
                g_string_append_printf(s, "%s%s: %s", s->len > 0 ? "; " : "", key, value);
        }

        if (s->len > 0 || kind == OBJECT_DEFINITION)
                say_line("%s %s changed%s%s", object_kind_to_string(kind), id, s->len > 0 ? ": " : "", s->str);
}

void say_changed(const Arguments *a, ObjectKind kind, const void *object, const GPtrArray *keys)
{
        Json j;

        g_assert(kind >= 0 && kind < _OBJECT_KIND_MAX);

        /* If no member of a definition changed, its attributes did. The signal does not carry them. */
        if (keys->len == 0 && kind != OBJECT_DEFINITION)
                return;

        if (!a->json) {
                say_changed_text(kind, object, keys);
                return;
        }

        if (a->full) {
                say_changed_full(kind, object, keys);
                return;
        }

        j = event_begin_changes(kind, object);
        for (unsigned i = 0; i < keys->len; i++)
                (void)json_object_member(&j, kind, object, keys->pdata[i]);
        json_object_end(&j);
        event_end(&j);
}

/* "i915-GVTg_V5_4 2 available (were 3), …" */
static char *say_types_text(const GpuInfo *g, const GArray *changes)
{
        GString *s = g_string_new(NULL);

        for (unsigned i = 0; i < changes->len; i++) {
                const TypeChange *c = &g_array_index(changes, TypeChange, i);
                const TypeInfo *t = gpu_type(g, c->row);

                g_string_append_printf(s, "%s%s %" G_GINT64_FORMAT " available (were %" G_GINT64_FORMAT ")",
                                       s->len > 0 ? ", " : "", t->id, t->available, c->before);
        }

        return g_string_free(s, false);
}

void say_types_changed(const Arguments *a, const GpuInfo *g, const GArray *changes)
{
        Json j;

        g_assert(changes->len > 0);

        g_assert(!a->full); /* monitor --full calls ListTypes for the reasons instead */

        if (!a->json) {
                g_autofree char *text = say_types_text(g, changes);

                say_line("gpu %s changed: types: %s", g->name, text);
                return;
        }

        j = event_begin_changes(OBJECT_GPU, g);
        json_array(&j, "types");

        for (unsigned i = 0; i < changes->len; i++) {
                const TypeInfo *t = gpu_type(g, g_array_index(changes, TypeChange, i).row);

                json_object(&j, NULL);
                json_string(&j, "id", t->id);
                json_number(&j, "available", t->available);
                json_object_end(&j);
        }

        json_array_end(&j);
        json_object_end(&j);
        event_end(&j);
}

static void say_vfs_text(const GpuInfo *g)
{
        unsigned n_taken = 0, n_bound = 0, n_host = 0;
        g_autoptr(GString) s = g_string_new(NULL);

        for (unsigned i = 0; i < g->vfs->len; i++) {
                const VfInfo *vf = g->vfs->pdata[i];

                if (strcmp(vf->instance, "/") != 0)
                        n_taken++;
                else if (*vf->state)
                        n_bound++;
                else if (*vf->driver || *vf->driver_override)
                        n_host++;
        }

        g_string_printf(s, "%u, %u of them with an instance", g->vfs->len, n_taken);
        if (n_bound > 0)
                g_string_append_printf(s, ", %u bound and free", n_bound);
        if (n_host > 0)
                g_string_append_printf(s, ", %u with a driver of the host or reserved", n_host);
        say_line("gpu %s changed: vfs: %s", g->name, s->str);
}

static void say_vf_json(Json *j, const VfInfo *vf)
{
        g_autofree char *uuid = uuid_from_path(vf->instance ? vf->instance : "/");

        json_object(j, NULL);
        json_u64(j, "index", vf->index);
        json_string(j, "instance", uuid);

        if (vf->driver)
                json_string(j, "driver", *vf->driver ? vf->driver : NULL);
        if (vf->driver_override)
                json_string(j, "driver_override", *vf->driver_override ? vf->driver_override : NULL);
        if (vf->state)
                json_string(j, "state", *vf->state ? vf->state : NULL);
        json_object_end(j);
}

void say_vfs_changed(const Arguments *a, const GpuInfo *g, const GPtrArray *vfs)
{
        Json j;

        g_assert(vfs->len > 0);

        if (!a->json) {
                say_vfs_text(g);
                return;
        }

        if (a->full) {
                say_changed_list(a, g, "vfs");
                return;
        }

        j = event_begin_changes(OBJECT_GPU, g);
        json_array(&j, "vfs");

        for (unsigned i = 0; i < vfs->len; i++)
                say_vf_json(&j, vfs->pdata[i]);
        json_array_end(&j);
        json_object_end(&j);
        event_end(&j);
}

void say_list_changed(const Arguments *a, const GpuInfo *g, const char *list)
{
        Json j;

        if (!a->json) {
                if (strcmp(list, "types") == 0)
                        say_line("gpu %s changed: types: %u types", g->name, g->types->len);
                else if (strcmp(list, "vfs") == 0)
                        say_vfs_text(g);

                return;
        }

        if (a->full) {
                say_changed_list(a, g, list);
                return;
        }

        j = event_begin_changes(OBJECT_GPU, g);
        json_object_end(&j);
        json_array(&j, "list_changed");
        json_string(&j, NULL, list);
        json_array_end(&j);
        event_end(&j);
}
