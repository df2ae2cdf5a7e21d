/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "cli/host/host.h"

#include "cli/host/fields.h"
#include "cli/host/host-find.h"
#include "cli/host/host-values.h"
#include "dbus/bus-names.h"

static void *object_new(ObjectKind kind, const char *path)
{
        char *o = g_malloc0(object_kinds[kind].size);

        /* Fields never hold NULL: whoever prints them need not ask. */
        for (size_t i = 0; i < object_kinds[kind].table.n_fields; i++) {
                const Field *f = &object_kinds[kind].table.fields[i];

                if (is_text(f))
                        *AT(char *, o, f) = g_strdup("");
                else if (is_list(f))
                        *AT(char **, o, f) = g_new0(char *, 1);
                else if (field_rows(f))
                        *AT(GPtrArray *, o, f) = rows_new(f);
                else if (f->flags & NULL_IF_NEGATIVE)
                        *AT(int32_t, o, f) = -1;
                else if (f->flags & NULL_IF_MAX)
                        *AT(uint32_t, o, f) = UINT32_MAX;
        }

        *(char **)(void *)o = g_strdup(path); /* the first member of each */
        if (kind == OBJECT_INSTANCE) {
                ((InstanceInfo *)(void *)o)->gpu_name = g_strdup("");
                ((InstanceInfo *)(void *)o)->hand_over.iommu_group = -1;
        }

        return o;
}

static void object_free(ObjectKind kind, char *o)
{
        if (!o)
                return;

        for (size_t i = 0; i < object_kinds[kind].table.n_fields; i++) {
                const Field *f = &object_kinds[kind].table.fields[i];

                if (is_text(f))
                        g_free(*AT(char *, o, f));
                else if (is_list(f))
                        g_strfreev(*AT(char **, o, f));
                else if (field_rows(f))
                        g_ptr_array_unref(*AT(GPtrArray *, o, f));
        }

        g_free(*(char **)(void *)o);
        if (kind == OBJECT_INSTANCE) {
                g_free(((InstanceInfo *)(void *)o)->gpu_name);
                hand_over_done(&((InstanceInfo *)(void *)o)->hand_over);
        }

        g_free(o);
}

static void gpu_free(void *p)
{
        object_free(OBJECT_GPU, p);
}

static void instance_free(void *p)
{
        object_free(OBJECT_INSTANCE, p);
}

static void job_free(void *p)
{
        object_free(OBJECT_JOB, p);
}

Host *host_new(void)
{
        Host *h = g_new0(Host, 1);

        h->objects[OBJECT_GPU] = g_ptr_array_new_with_free_func(gpu_free);
        h->objects[OBJECT_INSTANCE] = g_ptr_array_new_with_free_func(instance_free);
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

typedef struct ReadTarget {
        ObjectKind kind;
        void *object;
        GPtrArray *changed;
} ReadTarget;

static int read_property(sd_bus_message *m, const char *key, void *userdata)
{
        ReadTarget *t = userdata;
        int r;

        for (size_t i = 0; i < object_kinds[t->kind].table.n_fields; i++) {
                const Field *f = &object_kinds[t->kind].table.fields[i];

                if (strcmp(f->property, key) != 0)
                        continue;

                r = enter_variant(m, f->signature);
                if (r <= 0)
                        return r;

                r = field_read(m, f, t->object);
                if (r > 0 && t->changed)
                        g_ptr_array_add(t->changed, (void *)f->key);
                return r < 0 ? r : sd_bus_message_exit_container(m);
        }

        return sd_bus_message_skip(m, "v");
}

static char *gpu_name_from_path(const char *path)
{
        char *name;
        int r;

        r = sd_bus_path_decode(path, VGPUD_PATH_GPU, &name);
        if (r <= 0)
                return g_strdup("");

        /* from malloc, as g_free() takes it since GLib 2.46 */
        return name;
}

int host_read_object(Host *h, ObjectKind kind, const char *path, sd_bus_message *m, GPtrArray *changed,
                     void **ret)
{
        void *object = host_find_path(h, kind, path);
        ReadTarget target = { .kind = kind, .changed = changed };
        int r;

        if (!object) {
                object = object_new(kind, path);
                g_ptr_array_add(h->objects[kind], object);
        }

        target.object = object;
        r = read_dictionary(m, read_property, &target);
        if (r < 0)
                return r;

        if (kind == OBJECT_INSTANCE) {
                InstanceInfo *i = object;

                g_free(i->gpu_name);
                i->gpu_name = gpu_name_from_path(i->gpu);
        }

        if (ret)
                *ret = object;

        return 0;
}

/* The message is at the a{sa{sv}} of one object. */
static int read_interfaces(Host *h, const char *path, sd_bus_message *m)
{
        int r;

        r = sd_bus_message_enter_container(m, 'a', "{sa{sv}}");
        if (r < 0)
                return r;

        while ((r = sd_bus_message_enter_container(m, 'e', "sa{sv}")) > 0) {
                const char *interface;
                ObjectKind kind;

                r = sd_bus_message_read_basic(m, 's', &interface);
                if (r < 0)
                        return r;

                kind = object_kind_from_interface(interface);
                if (kind == _OBJECT_KIND_INVALID)
                        r = sd_bus_message_skip(m, "a{sv}");
                else {
                        void *object = object_new(kind, path);
                        ReadTarget target = { .kind = kind, .object = object };

                        g_ptr_array_add(h->objects[kind], object);

                        r = read_dictionary(m, read_property, &target);
                        if (r >= 0 && kind == OBJECT_INSTANCE) {
                                g_free(((InstanceInfo *)object)->gpu_name);
                                ((InstanceInfo *)object)->gpu_name =
                                                gpu_name_from_path(((InstanceInfo *)object)->gpu);
                        }
                }

                if (r >= 0)
                        r = sd_bus_message_exit_container(m);
                if (r < 0)
                        return r;
        }

        if (r < 0)
                return r;

        return sd_bus_message_exit_container(m);
}

int host_read(Host *h, sd_bus_message *answer)
{
        int r;

        for (ObjectKind k = 0; k < _OBJECT_KIND_MAX; k++)
                g_ptr_array_set_size(h->objects[k], 0);
        r = sd_bus_message_enter_container(answer, 'a', "{oa{sa{sv}}}");
        if (r < 0)
                return r;

        while ((r = sd_bus_message_enter_container(answer, 'e', "oa{sa{sv}}")) > 0) {
                const char *path;

                r = sd_bus_message_read_basic(answer, 'o', &path);
                if (r >= 0)
                        r = read_interfaces(h, path, answer);
                if (r >= 0)
                        r = sd_bus_message_exit_container(answer);
                if (r < 0)
                        return r;
        }

        if (r < 0)
                return r;

        host_sort(h);

        return sd_bus_message_exit_container(answer);
}

/* The field of a new object, which has the empty text. */
static void set_text(char **field, const char *value)
{
        if (!*value)
                return;

        g_free(*field);
        *field = g_strdup(value);
}

int host_read_instances(Host *h, sd_bus_message *m)
{
        const char *path, *uuid, *name, *type, *state, *origin, *parent, *gpu;
        uint64_t created_usec;
        uint32_t owner;
        int r;

        r = sd_bus_message_enter_container(m, 'a', "(osssssssut)");
        if (r < 0)
                return r;

        while ((r = sd_bus_message_read(m, "(osssssssut)", &path, &uuid, &name, &type, &state, &origin, &parent,
                                        &gpu, &owner, &created_usec)) > 0) {
                InstanceInfo *i = object_new(OBJECT_INSTANCE, path);

                g_ptr_array_add(h->objects[OBJECT_INSTANCE], i);
                set_text(&i->uuid, uuid);
                set_text(&i->name, name);
                set_text(&i->type, type);
                set_text(&i->state, state);
                set_text(&i->origin, origin);
                set_text(&i->parent, parent);
                set_text(&i->gpu_name, gpu);
                i->owner = owner;
                i->created_usec = created_usec;
        }

        if (r < 0)
                return r;

        host_sort(h);

        return sd_bus_message_exit_container(m);
}

/* 0 stands for what the driver does not tell. */
static int64_t known(uint64_t value)
{
        return value > 0 ? (int64_t)MIN(value, (uint64_t)INT64_MAX) : -1;
}

int host_read_types(Host *h, sd_bus_message *m)
{
        const char *gpu, *id, *name, *api;
        uint32_t available, most, heads, rate, x, y;
        uint64_t framebuffer_bytes;
        GpuInfo *g = NULL;
        int r;

        r = sd_bus_message_enter_container(m, 'a', "(ssssuutuuuu)");
        if (r < 0)
                return r;

        while ((r = sd_bus_message_read(m, "(ssssuutuuuu)", &gpu, &id, &name, &api, &available, &most,
                                        &framebuffer_bytes, &heads, &rate, &x, &y)) > 0) {
                TypeInfo *t = type_info_new(id);

                if (!g || strcmp(g->name, gpu) != 0) {
                        g = object_new(OBJECT_GPU, "");
                        set_text(&g->name, gpu);
                        g_ptr_array_add(h->objects[OBJECT_GPU], g);
                }

                g_ptr_array_add(g->types, t);
                t->name = g_strdup(name);
                t->device_api = g_strdup(api);
                t->available = available;
                t->framebuffer_bytes = known(framebuffer_bytes);
                t->heads = known(heads);
                t->frame_rate_limit = known(rate);
                t->max_x = known(x);
                t->max_y = known(y);
                t->max_instances = known(most);
        }

        if (r < 0)
                return r;

        host_sort(h);

        return sd_bus_message_exit_container(m);
}
