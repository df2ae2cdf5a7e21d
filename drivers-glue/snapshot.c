/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "drivers-glue/snapshot.h"

#include <inttypes.h>
#include <string.h>

#include "base/parse-util.h"
#include "drivers-glue/problem.h"

static void snapshot_free_type(gpointer t)
{
        vgpu_type_free(t);
}

static void snapshot_free_instance(gpointer d)
{
        instance_desc_free(d);
}

static void snapshot_free_mode(gpointer m)
{
        vgpu_mode_free(m);
}

static void snapshot_free_binding(gpointer p)
{
        VgpuVfBinding *b = p;

        g_free(b->name);
        g_free(b->driver);
        g_free(b->override);
        g_free(b);
}

static void snapshot_free_problem(gpointer p)
{
        vgpu_problem_free(p);
}

static void snapshot_free_option(gpointer o)
{
        vgpu_type_option_free(o);
}

GpuSnapshot *gpu_snapshot_new(void)
{
        GpuSnapshot *s = g_new0(GpuSnapshot, 1);

        s->refs = 1;
        s->types = g_ptr_array_new_with_free_func(snapshot_free_type);
        s->instances = g_ptr_array_new_with_free_func(snapshot_free_instance);
        s->modes = g_ptr_array_new_with_free_func(snapshot_free_mode);
        s->bindings = g_ptr_array_new_with_free_func(snapshot_free_binding);
        s->problems = g_ptr_array_new_with_free_func(snapshot_free_problem);
        s->taken_usec = (uint64_t)g_get_real_time();
        s->began_usec = (uint64_t)g_get_monotonic_time();

        return s;
}

GpuSnapshot *gpu_snapshot_ref(const GpuSnapshot *s)
{
        if (s) {
                g_assert(g_atomic_int_get(&s->refs) > 0);
                g_atomic_int_inc(&((GpuSnapshot *)s)->refs);
        }

        return (GpuSnapshot *)s;
}

GpuSnapshot *gpu_snapshot_unref(const GpuSnapshot *snapshot)
{
        GpuSnapshot *s = (GpuSnapshot *)snapshot;

        if (!s || !g_atomic_int_dec_and_test(&s->refs))
                return NULL;

        g_ptr_array_unref(s->types);
        g_ptr_array_unref(s->instances);
        g_ptr_array_unref(s->modes);
        g_ptr_array_unref(s->bindings);
        g_ptr_array_unref(s->problems);
        g_free(s->unprepared);
        vgpud_hint_done(&s->hint);
        g_free(s);

        return NULL;
}

static gint snapshot_compare_types(gconstpointer a, gconstpointer b)
{
        return compare_naturally((*(VgpuType *const *)a)->id, (*(VgpuType *const *)b)->id);
}

static gint snapshot_compare_instances(gconstpointer a, gconstpointer b)
{
        return strcmp((*(InstanceDesc *const *)a)->uuid, (*(InstanceDesc *const *)b)->uuid);
}

static gint snapshot_compare_modes(gconstpointer a, gconstpointer b)
{
        return strcmp((*(VgpuMode *const *)a)->name, (*(VgpuMode *const *)b)->name);
}

void gpu_snapshot_seal(GpuSnapshot *s)
{
        g_ptr_array_sort(s->modes, snapshot_compare_modes);
        g_ptr_array_sort(s->types, snapshot_compare_types);
        g_ptr_array_sort(s->instances, snapshot_compare_instances);
}

VgpuType *vgpu_type_new(const char *id)
{
        VgpuType *t = g_new0(VgpuType, 1);

        g_assert(id && id[0]);

        t->id = g_strdup(id);
        t->name = g_strdup(id);

        return t;
}

VgpuTypeOption *vgpu_type_option_new(const char *name, const char *help)
{
        VgpuTypeOption *o = g_new(VgpuTypeOption, 1);

        *o = (VgpuTypeOption){ .name = g_strdup(name), .help = g_strdup(help) };

        return o;
}

VgpuTypeOption *vgpu_type_option_free(VgpuTypeOption *o)
{
        if (!o)
                return NULL;

        g_free(o->name);
        g_free(o->help);
        g_free(o->alias);
        g_free(o);

        return NULL;
}

VgpuMode *vgpu_mode_new(const char *name, const char *value, const char *const *choices, const char *help)
{
        VgpuMode *m = g_new(VgpuMode, 1);

        g_assert(!choices || choices[0]);

        *m = (VgpuMode){
                .name = g_strdup(name),
                .value = g_strdup(value),
                .choices = g_strdupv((char **)choices),
                .help = g_strdup(help),
        };

        return m;
}

VgpuMode *vgpu_mode_free(VgpuMode *m)
{
        if (!m)
                return NULL;

        g_free(m->name);
        g_free(m->value);
        g_strfreev(m->choices);
        g_free(m->help);
        g_free(m);

        return NULL;
}

static gpointer snapshot_copy_option(gconstpointer p, gpointer userdata)
{
        const VgpuTypeOption *o = p;
        VgpuTypeOption *copy = vgpu_type_option_new(o->name, o->help);

        copy->alias = g_strdup(o->alias);

        return copy;
}

/* Unlike g_ptr_array_copy(), the copy always gets a destructor for its elements. */
static GPtrArray *snapshot_copy_array(const GPtrArray *a, GCopyFunc copy, GDestroyNotify destroy)
{
        GPtrArray *c;

        if (!a)
                return NULL;

        c = g_ptr_array_new_with_free_func(destroy);
        for (guint i = 0; i < a->len; i++)
                g_ptr_array_add(c, copy(a->pdata[i], NULL));

        return c;
}

GPtrArray *vgpu_type_name_options(const VgpuType *t, const GPtrArray *attributes)
{
        GPtrArray *named = vgpu_attributes_copy(attributes);

        for (guint i = 0; named && i < named->len; i++) {
                VgpuAttribute *a = named->pdata[i];

                for (guint k = 0; t->options && k < t->options->len; k++) {
                        const VgpuTypeOption *o = t->options->pdata[k];

                        if (g_strcmp0(o->alias, a->name) == 0) {
                                g_free(a->name);
                                a->name = g_strdup(o->name);
                        }
                }
        }

        return named;
}

static bool snapshot_options_equal(const GPtrArray *a, const GPtrArray *b)
{
        if ((a ? a->len : 0) != (b ? b->len : 0))
                return false;

        for (guint i = 0; a && i < a->len; i++) {
                const VgpuTypeOption *o = a->pdata[i], *p = b->pdata[i];

                if (strcmp(o->name, p->name) != 0 || g_strcmp0(o->help, p->help) != 0 ||
                    g_strcmp0(o->alias, p->alias) != 0)
                        return false;
        }

        return true;
}

static bool snapshot_attributes_equal(const GPtrArray *a, const GPtrArray *b)
{
        if ((a ? a->len : 0) != (b ? b->len : 0))
                return false;

        for (guint i = 0; a && i < a->len; i++) {
                const VgpuAttribute *v = a->pdata[i], *w = b->pdata[i];

                if (strcmp(v->name, w->name) != 0 || g_strcmp0(v->value, w->value) != 0)
                        return false;
        }

        return true;
}

VgpuType *vgpu_type_copy(const VgpuType *t)
{
        VgpuType *copy = g_memdup2(t, sizeof *t);

        copy->id = g_strdup(t->id);
        copy->name = g_strdup(t->name);
        copy->description = g_strdup(t->description);
        copy->device_api = g_strdup(t->device_api);
        copy->why_not = g_strdup(t->why_not);
        copy->hint = VGPUD_HINT_INIT;
        vgpud_hint_copy(&copy->hint, &t->hint);
        copy->product = g_strdup(t->product);
        copy->class = g_strdup(t->class);
        copy->options = snapshot_copy_array(t->options, snapshot_copy_option, snapshot_free_option);
        copy->key = g_strdup(t->key);
        copy->earlier_name = g_strdup(t->earlier_name);

        return copy;
}

VgpuType *vgpu_type_free(VgpuType *t)
{
        if (!t)
                return NULL;

        g_free(t->id);
        g_free(t->name);
        g_free(t->description);
        g_free(t->device_api);
        g_free(t->why_not);
        vgpud_hint_done(&t->hint);
        g_free(t->product);
        g_free(t->class);

        if (t->options)
                g_ptr_array_unref(t->options);
        g_free(t->key);
        g_free(t->earlier_name);
        g_free(t);

        return NULL;
}

bool vgpu_type_equal(const VgpuType *a, const VgpuType *b)
{
        return g_strcmp0(a->id, b->id) == 0 && g_strcmp0(a->name, b->name) == 0 &&
               g_strcmp0(a->description, b->description) == 0 && g_strcmp0(a->device_api, b->device_api) == 0 &&
               a->framebuffer_bytes == b->framebuffer_bytes && a->low_gm_bytes == b->low_gm_bytes &&
               a->high_gm_bytes == b->high_gm_bytes && a->fences == b->fences && a->weight == b->weight &&
               a->heads == b->heads && a->frame_rate_limit == b->frame_rate_limit && a->max_x == b->max_x &&
               a->max_y == b->max_y && a->max_instances == b->max_instances && a->available == b->available &&
               g_strcmp0(a->why_not, b->why_not) == 0 && vgpud_hint_equal(&a->hint, &b->hint) &&
               g_strcmp0(a->product, b->product) == 0 && g_strcmp0(a->class, b->class) == 0 &&
               a->mig == b->mig && snapshot_options_equal(a->options, b->options) &&
               g_strcmp0(a->key, b->key) == 0 && g_strcmp0(a->earlier_name, b->earlier_name) == 0;
}

bool gpu_snapshot_has_slot(const GpuSnapshot *s, const char *slot)
{
        for (guint i = 0; i < s->instances->len; i++)
                if (g_strcmp0(((const InstanceDesc *)s->instances->pdata[i])->slot, slot) == 0)
                        return true;

        return false;
}

const InstanceDesc *gpu_snapshot_find_instance(const GpuSnapshot *s, const char *uuid)
{
        guint low = 0, high = s->instances->len;

        /* The UUIDs are sorted, and hexadecimal digits have the same order in either case. */
        while (low < high) {
                guint middle = low + (high - low) / 2;
                const InstanceDesc *d = s->instances->pdata[middle];
                int c = g_ascii_strcasecmp(uuid, d->uuid);

                if (c == 0)
                        return d;
                if (c < 0)
                        high = middle;
                else
                        low = middle + 1;
        }

        return NULL;
}

VgpuVfBinding *gpu_snapshot_add_binding(GpuSnapshot *s, const char *name, const char *driver,
                                        const char *override)
{
        VgpuVfBinding *b = g_new(VgpuVfBinding, 1);

        *b = (VgpuVfBinding){ .name = g_strdup(name),
                              .driver = g_strdup(driver),
                              .override = g_strdup(override) };
        g_ptr_array_add(s->bindings, b);

        return b;
}

const VgpuVfBinding *gpu_snapshot_find_binding(const GpuSnapshot *s, const char *name)
{
        for (guint i = 0; i < s->bindings->len; i++) {
                const VgpuVfBinding *b = s->bindings->pdata[i];

                if (strcmp(b->name, name) == 0)
                        return b;
        }

        return NULL;
}

bool gpu_snapshot_bindings_equal(const GpuSnapshot *a, const GpuSnapshot *b)
{
        if (a->bindings->len != b->bindings->len)
                return false;

        for (guint i = 0; i < a->bindings->len; i++) {
                const VgpuVfBinding *x = a->bindings->pdata[i], *y = b->bindings->pdata[i];

                if (strcmp(x->name, y->name) != 0 || g_strcmp0(x->driver, y->driver) != 0 ||
                    g_strcmp0(x->override, y->override) != 0 || x->bound_free != y->bound_free)
                        return false;
        }

        return true;
}

/* Update the binding of the VF of an instance. The driver of a returned VF is unknown until the next scan. */
static void snapshot_bind_instance(GpuSnapshot *s, const InstanceDesc *d, bool made)
{
        VgpuVfBinding *b = d->slot ? (VgpuVfBinding *)gpu_snapshot_find_binding(s, d->slot) : NULL;

        if (!b)
                return;

        g_free(b->driver);
        g_free(b->override);
        b->driver = made ? g_strdup(d->driver) : NULL;
        b->override = made ? g_strdup(d->driver) : NULL;
        b->bound_free = false;
}

GpuSnapshot *gpu_snapshot_predict(const GpuSnapshot *base, const GPtrArray *made, const GPtrArray *removed)
{
        g_autoptr(GHashTable) gone = g_hash_table_new(g_str_hash, g_str_equal);
        GpuSnapshot *s = gpu_snapshot_new();

        for (guint i = 0; removed && i < removed->len; i++) {
                g_assert(uuid_is_valid(removed->pdata[i]));
                g_hash_table_add(gone, removed->pdata[i]);
        }

        s->taken_usec = base->taken_usec;
        s->began_usec = base->began_usec;
        s->memory_bytes = base->memory_bytes;
        s->unprepared = g_strdup(base->unprepared);
        vgpud_hint_copy(&s->hint, &base->hint);
        gpu_snapshot_copy_problems(s, base);

        for (guint i = 0; i < base->modes->len; i++) {
                const VgpuMode *m = base->modes->pdata[i];

                g_ptr_array_add(s->modes,
                                vgpu_mode_new(m->name, m->value, (const char *const *)m->choices, m->help));
        }

        for (guint i = 0; i < base->types->len; i++)
                g_ptr_array_add(s->types, vgpu_type_copy(base->types->pdata[i]));
        for (guint i = 0; i < base->bindings->len; i++) {
                const VgpuVfBinding *b = base->bindings->pdata[i];

                gpu_snapshot_add_binding(s, b->name, b->driver, b->override)->bound_free = b->bound_free;
        }

        for (guint i = 0; i < base->instances->len; i++) {
                const InstanceDesc *d = base->instances->pdata[i];

                if (g_hash_table_contains(gone, d->uuid))
                        snapshot_bind_instance(s, d, false);
                else
                        g_ptr_array_add(s->instances, instance_desc_copy(d));
        }

        for (guint i = 0; made && i < made->len; i++) {
                const InstanceDesc *d = made->pdata[i];

                if (gpu_snapshot_find_instance(base, d->uuid))
                        continue;

                snapshot_bind_instance(s, d, true);
                g_ptr_array_add(s->instances, instance_desc_copy(d));
        }

        gpu_snapshot_seal(s);

        return s;
}

/* Append a part to the key, with '_' in the place of separators inside the part. */
static void snapshot_append_key_part(GString *key, const char *part)
{
        if (key->len > 0)
                g_string_append_c(key, '/');
        if (!part || !part[0])
                part = "-";
        for (; *part; part++)
                g_string_append_c(key, *part == '/' || *part == ' ' ? '_' : *part);
}

char *vgpu_type_make_key(const VgpuType *t, uint16_t vendor)
{
        const char *space = strrchr(t->name, ' ');
        GString *key = g_string_new(NULL);

        if (vendor != 0)
                g_string_printf(key, "%04x", vendor);
        else
                g_string_append_c(key, '-');

        snapshot_append_key_part(key, t->product);
        snapshot_append_key_part(key, t->class);

        if (t->framebuffer_bytes > 0)
                g_string_append_printf(key, "/%" PRIu64, t->framebuffer_bytes >> 20);
        else
                snapshot_append_key_part(key, NULL);

        /* If the product is known, the key has only the last word of the name, because releases of NVIDIA's
         * driver differ in the first: "GRID A2-4Q", "NVIDIA A2-4Q". */
        snapshot_append_key_part(key, t->product && space ? space + 1 : t->name);

        return g_string_free(key, FALSE);
}

InstanceDesc *instance_desc_new(const char *uuid)
{
        InstanceDesc *d = g_new0(InstanceDesc, 1);

        if (uuid)
                assert_se(uuid_normalize(uuid, d->uuid) >= 0);
        d->iommu_group = -1;

        return d;
}

InstanceDesc *instance_desc_copy(const InstanceDesc *d)
{
        InstanceDesc *copy = g_new(InstanceDesc, 1);

        *copy = *d;
        copy->type_id = g_strdup(d->type_id);
        copy->parent = g_strdup(d->parent);
        copy->path = g_strdup(d->path);
        copy->device_api = g_strdup(d->device_api);
        copy->driver = g_strdup(d->driver);
        copy->cdev = g_strdup(d->cdev);
        copy->slot = g_strdup(d->slot);
        copy->attributes = vgpu_attributes_copy(d->attributes);
        copy->restore = g_strdup(d->restore);

        return copy;
}

InstanceDesc *instance_desc_free(InstanceDesc *d)
{
        if (!d)
                return NULL;

        g_free(d->type_id);
        g_free(d->parent);
        g_free(d->path);
        g_free(d->device_api);
        g_free(d->driver);
        g_free(d->cdev);
        g_free(d->slot);

        if (d->attributes)
                g_ptr_array_unref(d->attributes);
        g_free(d->restore);
        g_free(d);

        return NULL;
}

bool instance_desc_equal(const InstanceDesc *a, const InstanceDesc *b)
{
        return strcmp(a->uuid, b->uuid) == 0 && g_strcmp0(a->type_id, b->type_id) == 0 &&
               g_strcmp0(a->parent, b->parent) == 0 && g_strcmp0(a->path, b->path) == 0 &&
               g_strcmp0(a->device_api, b->device_api) == 0 && g_strcmp0(a->driver, b->driver) == 0 &&
               a->iommu_group == b->iommu_group && g_strcmp0(a->cdev, b->cdev) == 0 &&
               g_strcmp0(a->slot, b->slot) == 0 && a->identity == b->identity &&
               a->type_guessed == b->type_guessed && a->half_made == b->half_made &&
               a->memory_bytes == b->memory_bytes && snapshot_attributes_equal(a->attributes, b->attributes) &&
               g_strcmp0(a->restore, b->restore) == 0;
}
