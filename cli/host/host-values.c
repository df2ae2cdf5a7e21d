/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Values of properties, as they travel: reading them from messages, and noticing whether they are others than
 * before. */

#include "cli/host/host-values.h"

#include "cli/host/fields.h"

void hand_over_done(HandOver *o)
{
        g_free(o->sysfs_path);
        g_free(o->group_node);
        g_free(o->cdev_node);
        g_free(o->libvirt_xml);
        g_strfreev(o->qemu_args);
        *o = (HandOver){ .iommu_group = -1 };
}

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

int enter_variant(sd_bus_message *m, const char *signature)
{
        int r;

        r = sd_bus_message_enter_container(m, 'v', signature);
        if (r == -ENXIO) { /* holds something else; the message is where it was */
                r = sd_bus_message_skip(m, "v");
                return r < 0 ? r : 0;
        }

        return r < 0 ? r : 1;
}

int read_dictionary(sd_bus_message *m, EntryReader reader, void *userdata)
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

/* ---- Arrays of something: each element has a row of this table. ---- */

static bool lists_equal(char **a, char **b)
{
        if (!a || !b)
                return a == b;

        return g_strv_equal((const char *const *)a, (const char *const *)b);
}

static bool pairs_equal(const GPtrArray *a, const GPtrArray *b);

TypeInfo *type_info_new(const char *id)
{
        TypeInfo *t = g_new0(TypeInfo, 1);

        t->id = g_strdup(id);

        for (size_t i = 0; i < type_numbers.n_fields; i++)
                *AT(int64_t, t, &type_numbers.fields[i]) = -1;
        for (size_t i = 0; i < type_values.n_fields; i++) {
                const Field *f = &type_values.fields[i];

                if (is_list(f))
                        *AT(char **, t, f) = g_new0(char *, 1);
                else if (field_rows(f))
                        *AT(GPtrArray *, t, f) = rows_new(f);
        }

        return t;
}

static void type_info_free(void *p)
{
        TypeInfo *t = p;

        g_free(t->id);

        for (size_t i = 0; i < type_values.n_fields; i++) {
                const Field *f = &type_values.fields[i];

                if (is_text(f))
                        g_free(*AT(char *, t, f));
                else if (is_list(f))
                        g_strfreev(*AT(char **, t, f));
                else if (field_rows(f))
                        g_ptr_array_unref(*AT(GPtrArray *, t, f));
        }

        g_free(t);
}

static int read_type_entry(sd_bus_message *m, const char *key, void *userdata)
{
        TypeInfo *t = userdata;
        int r;

        for (size_t i = 0; i < type_values.n_fields; i++) {
                const Field *f = &type_values.fields[i];

                if (strcmp(f->property, key) != 0)
                        continue;

                r = enter_variant(m, f->signature);
                if (r <= 0)
                        return r;

                r = field_read(m, f, t);
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

static int read_type(sd_bus_message *m, void **ret)
{
        const char *id;
        int r;

        r = sd_bus_message_read_basic(m, 's', &id);
        if (r < 0)
                return r;

        *ret = type_info_new(id);

        return read_dictionary(m, read_type_entry, *ret);
}

static bool type_equal(const void *a, const void *b)
{
        const TypeInfo *x = a, *y = b;

        if (strcmp(x->id, y->id) != 0)
                return false;

        for (size_t i = 0; i < type_values.n_fields; i++) {
                const Field *f = &type_values.fields[i];

                if (is_text(f)      ? g_strcmp0(*AT_CONST(char *, x, f), *AT_CONST(char *, y, f)) != 0
                    : is_list(f)    ? !lists_equal(*AT_CONST(char **, x, f), *AT_CONST(char **, y, f))
                    : field_rows(f) ? !pairs_equal(*AT_CONST(GPtrArray *, x, f), *AT_CONST(GPtrArray *, y, f))
                                    : *AT_CONST(bool, x, f) != *AT_CONST(bool, y, f))
                        return false;
        }

        for (size_t i = 0; i < type_numbers.n_fields; i++)
                if (*AT_CONST(int64_t, x, &type_numbers.fields[i]) !=
                    *AT_CONST(int64_t, y, &type_numbers.fields[i]))
                        return false;

        return true;
}

static void mode_free(void *p)
{
        ModeInfo *mode = p;

        g_free(mode->name);
        g_free(mode->value);
        g_strfreev(mode->choices);
        g_free(mode->help);
        g_free(mode);
}

static int read_mode_entry(sd_bus_message *m, const char *key, void *userdata)
{
        ModeInfo *mode = userdata;
        char **text = strcmp(key, "Value") == 0 ? &mode->value : strcmp(key, "Help") == 0 ? &mode->help : NULL;
        bool choices = strcmp(key, "Choices") == 0;
        int r;

        if (!text && !choices)
                return sd_bus_message_skip(m, "v");

        r = enter_variant(m, choices ? "as" : "s");
        if (r <= 0)
                return r;

        if (choices)
                g_strfreev(g_steal_pointer(&mode->choices));
        r = choices ? read_strings(m, &mode->choices) : read_string(m, 's', text);

        return r < 0 ? r : sd_bus_message_exit_container(m);
}

static int read_mode(sd_bus_message *m, void **ret)
{
        ModeInfo *mode = g_new0(ModeInfo, 1);
        int r;

        *ret = mode;
        r = read_string(m, 's', &mode->name);

        return r < 0 ? r : read_dictionary(m, read_mode_entry, mode);
}

static bool mode_equal(const void *a, const void *b)
{
        const ModeInfo *x = a, *y = b;

        return strcmp(x->name, y->name) == 0 && g_strcmp0(x->value, y->value) == 0 &&
               lists_equal(x->choices, y->choices) && g_strcmp0(x->help, y->help) == 0;
}

static void vf_free(void *p)
{
        VfInfo *vf = p;

        g_free(vf->name);
        g_free(vf->instance);
        g_free(vf->driver);
        g_free(vf->override);
        g_free(vf);
}

static int read_vf(sd_bus_message *m, void **ret)
{
        VfInfo *vf = g_new0(VfInfo, 1);
        int r;

        *ret = vf;

        r = sd_bus_message_read_basic(m, 'u', &vf->index);
        if (r >= 0)
                r = read_string(m, 's', &vf->name);
        if (r >= 0)
                r = read_string(m, 'o', &vf->instance);
        if (r >= 0)
                r = read_string(m, 's', &vf->driver);

        return r < 0 ? r : read_string(m, 's', &vf->override);
}

static bool vf_equal(const void *a, const void *b)
{
        const VfInfo *x = a, *y = b;

        return x->index == y->index && strcmp(x->name, y->name) == 0 && strcmp(x->instance, y->instance) == 0 &&
               strcmp(x->driver, y->driver) == 0 && strcmp(x->override, y->override) == 0;
}

static void pair_free(void *p)
{
        PairInfo *pair = p;

        g_free(pair->name);
        g_free(pair->text);
        g_free(pair);
}

static int read_pair(sd_bus_message *m, void **ret)
{
        PairInfo *pair = g_new0(PairInfo, 1);
        int r;

        *ret = pair;
        r = read_string(m, 's', &pair->name);

        return r < 0 ? r : read_string(m, 's', &pair->text);
}

static bool pair_equal(const void *a, const void *b)
{
        const PairInfo *x = a, *y = b;

        return strcmp(x->name, y->name) == 0 && strcmp(x->text, y->text) == 0;
}

struct RowKind {
        const char *signature; /* of the array */
        unsigned flag;         /* tells it from another one of this signature */
        int (*read)(sd_bus_message *m,
                    void **ret); /* inside the element; *ret is to be freed also on failure */
        bool (*equal)(const void *a, const void *b);
        GDestroyNotify free;
};

static const RowKind row_kinds[] = {
        { "a{sa{sv}}", 0, read_type, type_equal, type_info_free },
        { "a{sa{sv}}", IS_MODES, read_mode, mode_equal, mode_free },
        { "a(usoss)", 0, read_vf, vf_equal, vf_free },
        { "a(ss)", 0, read_pair, pair_equal, pair_free },
        { "a{ss}", 0, read_pair, pair_equal, pair_free },
};

const RowKind *field_rows(const Field *f)
{
        for (size_t i = 0; i < G_N_ELEMENTS(row_kinds); i++)
                if (strcmp(row_kinds[i].signature, f->signature) == 0 &&
                    row_kinds[i].flag == (f->flags & IS_MODES))
                        return &row_kinds[i];

        return NULL;
}

GPtrArray *rows_new(const Field *f)
{
        return g_ptr_array_new_with_free_func(field_rows(f)->free);
}

static bool rows_equal(const GPtrArray *a, const GPtrArray *b, bool (*equal)(const void *a, const void *b))
{
        if (a->len != b->len)
                return false;

        for (unsigned i = 0; i < a->len; i++)
                if (!equal(a->pdata[i], b->pdata[i]))
                        return false;

        return true;
}

static bool pairs_equal(const GPtrArray *a, const GPtrArray *b)
{
        return rows_equal(a, b, pair_equal);
}

static int read_rows(sd_bus_message *m, const RowKind *kind, GPtrArray **rows)
{
        g_autoptr(GPtrArray) fresh = g_ptr_array_new_with_free_func(kind->free);
        g_autofree char *contents = g_strndup(kind->signature + 2, strlen(kind->signature) - 3);
        char type = kind->signature[1] == '(' ? 'r' : 'e';
        int r;

        r = sd_bus_message_enter_container(m, 'a', kind->signature + 1);
        if (r < 0)
                return r;

        while ((r = sd_bus_message_enter_container(m, type, contents)) > 0) {
                void *row = NULL;

                r = kind->read(m, &row);
                if (row)
                        g_ptr_array_add(fresh, row);
                if (r >= 0)
                        r = sd_bus_message_exit_container(m);
                if (r < 0)
                        return r;
        }

        if (r < 0)
                return r;

        r = sd_bus_message_exit_container(m);
        if (r < 0 || rows_equal(*rows, fresh, kind->equal))
                return r < 0 ? r : 0;

        g_ptr_array_unref(*rows);
        *rows = g_steal_pointer(&fresh);

        return 1;
}

/* ---- The others. ---- */

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

#define READ_NUMBER(type)                                                  \
        do {                                                               \
                type value;                                                \
                r = sd_bus_message_read_basic(m, f->signature[0], &value); \
                if (r < 0)                                                 \
                        return r;                                          \
                r = *AT(type, object, f) != value;                         \
                *AT(type, object, f) = value;                              \
                return r;                                                  \
        } while (0)

int field_read(sd_bus_message *m, const Field *f, void *object)
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

        if (field_rows(f))
                return read_rows(m, field_rows(f), AT(GPtrArray *, object, f));

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
        case 'q':
                READ_NUMBER(uint16_t);
        case 'u':
                READ_NUMBER(uint32_t);
        case 'i':
                READ_NUMBER(int32_t);
        case 't':
                READ_NUMBER(uint64_t);
        default:
                g_assert_not_reached();
        }
}
