/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "cli/host/host.h"

#include "cli/host/columns.h"
#include "cli/host/fields.h"
#include "cli/host/find.h"
#include "cli/host/values.h"
#include "dbus/bus-names.h"

/* ---- objects ---- */

static void *object_new(ObjectKind kind)
{
        void *o = g_malloc0(object_kinds[kind].size);

        fields_init(&object_kinds[kind].table, o);

        if (kind == OBJECT_GPU) {
                ((GpuInfo *)o)->types = g_ptr_array_new_with_free_func(g_free);
                ((GpuInfo *)o)->vfs = vfs_new();
        } else if (kind == OBJECT_INSTANCE)
                ((InstanceInfo *)o)->gpu_name = g_strdup("");
        else if (kind == OBJECT_JOB)
                ((JobInfo *)o)->gpu_name = g_strdup("");

        return o;
}

static void *gpu_new(void)
{
        return object_new(OBJECT_GPU);
}

static void *instance_new(void)
{
        return object_new(OBJECT_INSTANCE);
}

static void *definition_new(void)
{
        return object_new(OBJECT_DEFINITION);
}

static void *job_new(void)
{
        return object_new(OBJECT_JOB);
}

static void gpu_free(void *p)
{
        GpuInfo *g = p;

        fields_done(&object_kinds[OBJECT_GPU].table, g);
        g_ptr_array_unref(g->types);
        g_clear_pointer(&g->type_rows, g_ptr_array_unref);
        g_clear_pointer(&g->texts, g_ptr_array_unref);
        g_ptr_array_unref(g->vfs);
        g_free(g);
}

static void instance_free(void *p)
{
        InstanceInfo *i = p;

        fields_done(&object_kinds[OBJECT_INSTANCE].table, i);
        g_free(i->gpu_name);
        g_free(i);
}

static void definition_free(void *p)
{
        fields_done(&object_kinds[OBJECT_DEFINITION].table, p);
        g_free(p);
}

static void job_free(void *p)
{
        JobInfo *j = p;

        fields_done(&object_kinds[OBJECT_JOB].table, j);
        g_free(j->gpu_name);
        g_free(j);
}

Host *host_new(void)
{
        Host *h = g_new0(Host, 1);

        h->objects[OBJECT_GPU] = g_ptr_array_new_with_free_func(gpu_free);
        h->objects[OBJECT_INSTANCE] = g_ptr_array_new_with_free_func(instance_free);
        h->objects[OBJECT_DEFINITION] = g_ptr_array_new_with_free_func(definition_free);
        h->objects[OBJECT_JOB] = g_ptr_array_new_with_free_func(job_free);

        return h;
}

Host *host_free(Host *h)
{
        if (!h)
                return NULL;

        for (ObjectKind k = 0; k < _OBJECT_KIND_MAX; k++)
                g_ptr_array_unref(h->objects[k]);
        g_free(h);

        return NULL;
}

static void *host_append(Host *h, ObjectKind kind, const char *path)
{
        char **object = object_new(kind); /* the path is the first member */

        g_free(*object);
        *object = g_strdup(path);
        g_ptr_array_add(h->objects[kind], object);

        return object;
}

void *host_add(Host *h, ObjectKind kind, const char *path)
{
        void *object = host_find_path(h, kind, path);

        g_assert(kind >= 0 && kind < _OBJECT_KIND_MAX);

        return object ? object : host_append(h, kind, path);
}

void host_remove_path(Host *h, ObjectKind kind, const char *path)
{
        void *object = host_find_path(h, kind, path);

        g_assert(kind >= 0 && kind < _OBJECT_KIND_MAX);

        if (object)
                g_ptr_array_remove(h->objects[kind], object);
}

/* Set the members that are computed from other members. */
static void object_complete(ObjectKind kind, void *object)
{
        if (kind == OBJECT_INSTANCE) {
                InstanceInfo *i = object;

                g_free(i->gpu_name);
                i->gpu_name = gpu_name_from_path(i->gpu);
        } else if (kind == OBJECT_JOB) {
                JobInfo *j = object;

                g_free(j->gpu_name);
                j->gpu_name = gpu_name_from_path(j->gpu);

                if (j->n_instances == 0 && (strcmp(j->kind, "create") == 0 || strcmp(j->kind, "destroy") == 0))
                        j->n_instances = (uint32_t)MAX(j->details.count, 0);
                j->n_instances = MAX(j->n_instances, g_strv_length(j->instances));
        }
}

/* ---- reading ---- */

typedef struct ReadTarget {
        const FieldTable *table;
        void *object;
        bool by_key; /* keys, as in the answers about jobs and definitions, not names of properties */
        GPtrArray *changed;
} ReadTarget;

static int object_read_entry(sd_bus_message *m, const char *key, void *userdata)
{
        ReadTarget *t = userdata;
        const Field *f = t->by_key ? field_find(t->table, key) : field_find_property(t->table, key);
        int r;

        if (!f)
                return sd_bus_message_skip(m, "v");

        r = value_enter(m, f->signature);
        if (r <= 0)
                return r;

        r = field_read(m, f, t->object);
        if (r > 0 && t->changed)
                g_ptr_array_add(t->changed, (void *)f->key);

        return r < 0 ? r : sd_bus_message_exit_container(m);
}

static int object_read(ObjectKind kind, void *object, sd_bus_message *m, bool by_key, GPtrArray *changed)
{
        ReadTarget t = {
                .table = &object_kinds[kind].table,
                .object = object,
                .by_key = by_key,
                .changed = changed,
        };
        int r;

        r = value_read_dictionary(m, object_read_entry, &t);
        if (r < 0)
                return r;

        object_complete(kind, object);

        return 0;
}

int host_read_object(Host *h, ObjectKind kind, const char *path, sd_bus_message *m, GPtrArray *changed,
                     void **ret)
{
        void *object = host_add(h, kind, path);

        g_assert(kind >= 0 && kind < _OBJECT_KIND_MAX);

        if (ret)
                *ret = object;

        return object_read(kind, object, m, false, changed);
}

int host_read_job(Host *h, const char *path, sd_bus_message *m, JobInfo **ret)
{
        *ret = host_add(h, OBJECT_JOB, path);
        return object_read(OBJECT_JOB, *ret, m, true, NULL);
}

int host_read_definition(Host *h, const char *uuid, sd_bus_message *m, GPtrArray *changed, DefinitionInfo **ret)
{
        *ret = host_add(h, OBJECT_DEFINITION, uuid);
        return object_read(OBJECT_DEFINITION, *ret, m, true, changed);
}

/* An object whose interfaces are being read. */
typedef struct HostAddition {
        Host *host;
        const char *path;
} HostAddition;

static int host_read_interface(sd_bus_message *m, const char *interface, void *userdata)
{
        const HostAddition *addition = userdata;
        ObjectKind kind = object_kind_from_interface(interface);

        if (kind == _OBJECT_KIND_INVALID)
                return sd_bus_message_skip(m, "a{sv}");

        return object_read(kind, host_append(addition->host, kind, addition->path), m, false, NULL);
}

static int host_read_managed_object(sd_bus_message *m, const char *path, void *userdata)
{
        HostAddition addition = { .host = userdata, .path = path };

        return value_read_entries(m, "sa{sv}", host_read_interface, &addition);
}

int host_read_managed(Host *h, sd_bus_message *m)
{
        int r;

        for (ObjectKind k = 0; k < _OBJECT_KIND_MAX; k++)
                g_ptr_array_set_size(h->objects[k], 0);

        r = value_read_entries(m, "oa{sa{sv}}", host_read_managed_object, h);
        if (r >= 0)
                host_sort(h);

        return r;
}

int host_read_table(Host *h, ObjectKind kind, sd_bus_message *m)
{
        int r;

        g_assert(kind >= 0 && kind < _OBJECT_KIND_MAX);

        g_ptr_array_set_size(h->objects[kind], 0);

        r = host_add_table(h, kind, m);
        if (r >= 0)
                host_sort(h);

        return r;
}

int host_add_table(Host *h, ObjectKind kind, sd_bus_message *m)
{
        static const struct {
                void *(*make)(void);
                GDestroyNotify destroy;
        } makers[_OBJECT_KIND_MAX] = {
                [OBJECT_GPU] = { gpu_new, gpu_free },
                [OBJECT_INSTANCE] = { instance_new, instance_free },
                [OBJECT_DEFINITION] = { definition_new, definition_free },
                [OBJECT_JOB] = { job_new, job_free },
        };
        g_autoptr(GPtrArray) rows = NULL;
        int r;

        g_assert(kind >= 0 && kind < _OBJECT_KIND_MAX);

        rows = g_ptr_array_new_with_free_func(makers[kind].destroy);
        r = columns_read(m, &object_kinds[kind].table, rows, makers[kind].make);
        if (r < 0)
                return r;

        for (unsigned i = 0; i < rows->len; i++)
                object_complete(kind, rows->pdata[i]);
        g_ptr_array_extend_and_steal(h->objects[kind], g_steal_pointer(&rows));

        return 0;
}

/* ---- jobs ---- */

void host_derive_jobs(Host *h)
{
        for (unsigned i = 0; i < host_n(h, OBJECT_GPU); i++) {
                g_free(host_gpu(h, i)->job);
                host_gpu(h, i)->job = g_strdup("/");
                host_gpu(h, i)->queued_jobs = 0;
        }

        for (unsigned i = 0; i < host_n(h, OBJECT_INSTANCE); i++) {
                g_free(host_instance(h, i)->job);
                host_instance(h, i)->job = g_strdup("/");
        }

        for (unsigned i = 0; i < host_n(h, OBJECT_JOB); i++) {
                const JobInfo *j = host_job(h, i);
                GpuInfo *g = host_find_path(h, OBJECT_GPU, j->gpu);

                for (char **p = j->instances; *p; p++) {
                        InstanceInfo *instance = host_find_path(h, OBJECT_INSTANCE, *p);

                        if (!instance)
                                continue;

                        g_free(instance->job);
                        instance->job = g_strdup(j->path);
                }

                if (!g)
                        continue;

                if (strcmp(j->state, "waiting") == 0) {
                        g->queued_jobs++;
                        continue;
                }

                g_free(g->job);
                g->job = g_strdup(j->path);
        }
}
