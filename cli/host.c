/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "cli/host.h"

#include "cli/fields.h"
#include "dbus/bus-names.h"

static void type_info_free(void *p)
{
        TypeInfo *t = p;

        if (!t)
                return;
        g_free(t->id);
        g_free(t->name);
        g_free(t->description);
        g_free(t->device_api);
        g_strfreev(t->aliases);
        g_free(t);
}

static void hand_over_done(HandOver *o)
{
        g_free(o->sysfs_path);
        g_free(o->group_node);
        g_free(o->cdev_node);
        g_free(o->libvirt_xml);
        g_strfreev(o->qemu_args);
        *o = (HandOver){ .iommu_group = -1 };
}

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
                else if (f->flags & NULL_IF_NEGATIVE)
                        *AT(int32_t, o, f) = -1;
                else if (f->flags & NULL_IF_MAX)
                        *AT(uint32_t, o, f) = UINT32_MAX;
        }
        *(char **)(void *)o = g_strdup(path); /* the first member of each */
        if (kind == OBJECT_GPU)
                ((GpuInfo *)(void *)o)->types = g_ptr_array_new_with_free_func(type_info_free);
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
        }
        g_free(*(char **)(void *)o);
        if (kind == OBJECT_GPU)
                g_ptr_array_unref(((GpuInfo *)(void *)o)->types);
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

/* ---- Reading. The message is at a variant; what has another type than expected, or is unknown, is passed
 * over: a newer daemon may say more. Returns 1 when the value is another one than before. ---- */

static int read_strings(sd_bus_message *m, char ***ret)
{
        char type, **list = NULL;
        const char *contents;
        GPtrArray *a;
        int r;

        r = sd_bus_message_peek_type(m, &type, &contents);
        if (r < 0)
                return r;
        r = sd_bus_message_enter_container(m, 'a', contents);
        if (r < 0)
                return r;
        a = g_ptr_array_new();
        for (;;) {
                const char *s;

                r = sd_bus_message_read_basic(m, contents[0], &s);
                if (r <= 0)
                        break;
                g_ptr_array_add(a, g_strdup(s));
        }
        g_ptr_array_add(a, NULL);
        list = (char **)g_ptr_array_free(a, false);
        if (r >= 0)
                r = sd_bus_message_exit_container(m);
        if (r < 0) {
                g_strfreev(list);
                return r;
        }
        *ret = list;
        return 0;
}

static int read_string(sd_bus_message *m, char type, char **value)
{
        const char *s;
        int r;

        r = sd_bus_message_read_basic(m, type, &s);
        if (r < 0)
                return r;
        if (strcmp(s, *value ? *value : "") == 0 && *value)
                return 0;
        g_free(*value);
        *value = g_strdup(s);
        return 1;
}

/* At a variant: enter it when it holds this signature; else skip it and return 0. */
static int enter_variant(sd_bus_message *m, const char *signature)
{
        int r;

        r = sd_bus_message_enter_container(m, 'v', signature);
        if (r == -ENXIO) { /* holds something else; the message is where it was */
                r = sd_bus_message_skip(m, "v");
                return r < 0 ? r : 0;
        }
        return r < 0 ? r : 1;
}

/* Call `reader` for each key of an a{sv}, the message at the variant. */
typedef int (*EntryReader)(sd_bus_message *m, const char *key, void *userdata);

static int read_dictionary(sd_bus_message *m, EntryReader reader, void *userdata)
{
        int r;

        r = sd_bus_message_enter_container(m, 'a', "{sv}");
        if (r < 0)
                return r;
        while ((r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
                const char *key;

                r = sd_bus_message_read_basic(m, 's', &key);
                if (r >= 0)
                        r = reader(m, key, userdata);
                if (r >= 0)
                        r = sd_bus_message_exit_container(m);
                if (r < 0)
                        return r;
        }
        if (r < 0)
                return r;
        return sd_bus_message_exit_container(m);
}

static int read_number(sd_bus_message *m, char signature, int64_t *ret)
{
        uint64_t wide;
        uint32_t narrow;
        int32_t sign;
        int r;

        if (signature == 't') {
                r = sd_bus_message_read_basic(m, 't', &wide);
                *ret = (int64_t)MIN(wide, (uint64_t)INT64_MAX);
        } else if (signature == 'u') {
                r = sd_bus_message_read_basic(m, 'u', &narrow);
                *ret = narrow;
        } else {
                r = sd_bus_message_read_basic(m, 'i', &sign);
                *ret = sign;
        }
        return r;
}

static int read_type_entry(sd_bus_message *m, const char *key, void *userdata)
{
        TypeInfo *t = userdata;
        int r;

        for (size_t i = 0; i < type_texts.n_fields; i++) {
                const Field *f = &type_texts.fields[i];

                if (strcmp(f->property, key) != 0)
                        continue;
                r = enter_variant(m, f->signature);
                if (r <= 0)
                        return r;
                if (is_list(f)) {
                        g_strfreev(*AT(char **, t, f));
                        *AT(char **, t, f) = NULL;
                        r = read_strings(m, AT(char **, t, f));
                } else
                        r = read_string(m, 's', AT(char *, t, f));
                return r < 0 ? r : sd_bus_message_exit_container(m);
        }
        for (size_t i = 0; i < type_numbers.n_fields; i++) {
                const Field *f = &type_numbers.fields[i];

                if (strcmp(f->property, key) != 0)
                        continue;
                r = enter_variant(m, f->signature);
                if (r <= 0)
                        return r;
                r = read_number(m, f->signature[0], AT(int64_t, t, f));
                return r < 0 ? r : sd_bus_message_exit_container(m);
        }
        return sd_bus_message_skip(m, "v");
}

static bool types_equal(const GPtrArray *a, const GPtrArray *b)
{
        if (a->len != b->len)
                return false;
        for (unsigned i = 0; i < a->len; i++) {
                const TypeInfo *x = g_ptr_array_index(a, i), *y = g_ptr_array_index(b, i);

                if (g_strcmp0(x->id, y->id) != 0 || g_strcmp0(x->name, y->name) != 0 ||
                    g_strcmp0(x->description, y->description) != 0 ||
                    g_strcmp0(x->device_api, y->device_api) != 0)
                        return false;
                for (size_t n = 0; n < type_numbers.n_fields; n++)
                        if (*AT_CONST(int64_t, x, &type_numbers.fields[n]) !=
                            *AT_CONST(int64_t, y, &type_numbers.fields[n]))
                                return false;
        }
        return true;
}

static int read_types(sd_bus_message *m, GPtrArray **types)
{
        g_autoptr(GPtrArray) fresh = g_ptr_array_new_with_free_func(type_info_free);
        int r;

        r = sd_bus_message_enter_container(m, 'a', "{sa{sv}}");
        if (r < 0)
                return r;
        while ((r = sd_bus_message_enter_container(m, 'e', "sa{sv}")) > 0) {
                TypeInfo *t = g_new0(TypeInfo, 1);
                const char *id;

                g_ptr_array_add(fresh, t);
                for (size_t i = 0; i < type_numbers.n_fields; i++)
                        *AT(int64_t, t, &type_numbers.fields[i]) = -1;
                r = sd_bus_message_read_basic(m, 's', &id);
                if (r < 0)
                        return r;
                t->id = g_strdup(id);
                r = read_dictionary(m, read_type_entry, t);
                if (r >= 0)
                        r = sd_bus_message_exit_container(m);
                if (r < 0)
                        return r;
                if (!t->aliases)
                        t->aliases = g_new0(char *, 1);
        }
        if (r < 0)
                return r;
        r = sd_bus_message_exit_container(m);
        if (r < 0 || types_equal(*types, fresh))
                return r < 0 ? r : 0;
        g_ptr_array_unref(*types);
        *types = g_steal_pointer(&fresh);
        return 1;
}

static int read_hand_over_entry(sd_bus_message *m, const char *key, void *userdata)
{
        HandOver *o = userdata;
        const struct {
                const char *key;
                char **value;
        } texts[] = {
                { "sysfs_path", &o->sysfs_path },
                { "group_node", &o->group_node },
                { "cdev_node", &o->cdev_node },
                { "libvirt_xml", &o->libvirt_xml },
        };
        int r;

        for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
                if (strcmp(texts[i].key, key) != 0)
                        continue;
                r = enter_variant(m, "s");
                if (r <= 0)
                        return r;
                r = read_string(m, 's', texts[i].value);
                return r < 0 ? r : sd_bus_message_exit_container(m);
        }
        if (strcmp(key, "iommu_group") == 0) {
                r = enter_variant(m, "i");
                if (r <= 0)
                        return r;
                r = read_number(m, 'i', &o->iommu_group);
                return r < 0 ? r : sd_bus_message_exit_container(m);
        }
        if (strcmp(key, "qemu_args") == 0) {
                r = enter_variant(m, "as");
                if (r <= 0)
                        return r;
                g_strfreev(g_steal_pointer(&o->qemu_args));
                r = read_strings(m, &o->qemu_args);
                return r < 0 ? r : sd_bus_message_exit_container(m);
        }
        return sd_bus_message_skip(m, "v");
}

static int read_hand_over(sd_bus_message *m, HandOver *o)
{
        HandOver fresh = { .iommu_group = -1 };
        bool same;
        int r;

        r = read_dictionary(m, read_hand_over_entry, &fresh);
        if (r < 0) {
                hand_over_done(&fresh);
                return r;
        }
        same = g_strcmp0(o->sysfs_path, fresh.sysfs_path) == 0 && o->iommu_group == fresh.iommu_group &&
               g_strcmp0(o->group_node, fresh.group_node) == 0 &&
               g_strcmp0(o->cdev_node, fresh.cdev_node) == 0 &&
               g_strcmp0(o->libvirt_xml, fresh.libvirt_xml) == 0 && !o->qemu_args == !fresh.qemu_args &&
               (!o->qemu_args ||
                g_strv_equal((const char *const *)o->qemu_args, (const char *const *)fresh.qemu_args));
        hand_over_done(o);
        *o = fresh;
        return !same;
}

/* The message is inside the variant. */
static int read_value(sd_bus_message *m, const Field *f, void *object)
{
        int r;

        if (is_text(f))
                return read_string(m, f->signature[0], AT(char *, object, f));
        if (is_list(f)) {
                char **fresh, ***old = AT(char **, object, f);
                bool same;

                r = read_strings(m, &fresh);
                if (r < 0)
                        return r;
                same = g_strv_equal((const char *const *)*old, (const char *const *)fresh);
                g_strfreev(*old);
                *old = fresh;
                return !same;
        }
        if (strcmp(f->signature, "a{sa{sv}}") == 0)
                return read_types(m, AT(GPtrArray *, object, f));
        if (strcmp(f->signature, "a{sv}") == 0)
                return read_hand_over(m, AT(HandOver, object, f));

        switch (f->signature[0]) {
        case 'b': {
                int value;

                r = sd_bus_message_read_basic(m, 'b', &value);
                if (r < 0)
                        return r;
                r = *AT(bool, object, f) != (value != 0);
                *AT(bool, object, f) = value != 0;
                return r;
        }
        case 'q': {
                uint16_t value;

                r = sd_bus_message_read_basic(m, 'q', &value);
                if (r < 0)
                        return r;
                r = *AT(uint16_t, object, f) != value;
                *AT(uint16_t, object, f) = value;
                return r;
        }
        case 'u': {
                uint32_t value;

                r = sd_bus_message_read_basic(m, 'u', &value);
                if (r < 0)
                        return r;
                r = *AT(uint32_t, object, f) != value;
                *AT(uint32_t, object, f) = value;
                return r;
        }
        case 'i': {
                int32_t value;

                r = sd_bus_message_read_basic(m, 'i', &value);
                if (r < 0)
                        return r;
                r = *AT(int32_t, object, f) != value;
                *AT(int32_t, object, f) = value;
                return r;
        }
        case 't': {
                uint64_t value;

                r = sd_bus_message_read_basic(m, 't', &value);
                if (r < 0)
                        return r;
                r = *AT(uint64_t, object, f) != value;
                *AT(uint64_t, object, f) = value;
                return r;
        }
        default:
                g_assert_not_reached();
        }
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
                r = read_value(m, f, t->object);
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
                TypeInfo *t = g_new(TypeInfo, 1);

                if (!g || strcmp(g->name, gpu) != 0) {
                        g = object_new(OBJECT_GPU, "");
                        set_text(&g->name, gpu);
                        g_ptr_array_add(h->objects[OBJECT_GPU], g);
                }
                g_ptr_array_add(g->types, t);
                *t = (TypeInfo){
                        .id = g_strdup(id),
                        .name = g_strdup(name),
                        .device_api = g_strdup(api),
                        .aliases = g_new0(char *, 1),
                        .available = available,
                        .framebuffer_bytes = known(framebuffer_bytes),
                        .low_gm_bytes = -1,
                        .high_gm_bytes = -1,
                        .fences = -1,
                        .weight = -1,
                        .heads = known(heads),
                        .frame_rate_limit = known(rate),
                        .max_x = known(x),
                        .max_y = known(y),
                        .max_instances = known(most),
                };
        }
        if (r < 0)
                return r;
        host_sort(h);
        return sd_bus_message_exit_container(m);
}
