/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "drivers-glue/type-find.h"

#include <string.h>

#include "base/text.h"
#include "base/type-word.h"

/* Limit of ids in the hint about an ambiguous word. */
#define AMBIGUOUS_MAX 40U

/* ---- the names of a type ---- */

typedef struct TypeNames {
        const char *names[5];
        size_t n;
} TypeNames;

static void type_names_add(TypeNames *n, const char *name)
{
        /* A plain number is no alias: a user who types only a number has made a mistake. */
        if (name && name[strspn(name, "0123456789")])
                n->names[n->n++] = name;
}

/* The aliases, with duplicates. */
static TypeNames type_names_of(const VgpuType *t)
{
        const char *space = strrchr(t->name, ' '), *dash = strchr(t->id, '-');
        TypeNames n = { 0 };

        type_names_add(&n, t->name);
        type_names_add(&n, space ? space + 1 : NULL);
        type_names_add(&n, dash ? dash + 1 : NULL);

        return n;
}

char **vgpu_type_aliases(const VgpuType *t)
{
        g_autoptr(GPtrArray) aliases = g_ptr_array_new();
        TypeNames n = type_names_of(t);

        for (size_t i = 0; i < n.n; i++)
                if (strcmp(n.names[i], t->id) != 0 &&
                    !g_ptr_array_find_with_equal_func(aliases, n.names[i], g_str_equal, NULL))
                        g_ptr_array_add(aliases, g_strdup(n.names[i]));

        g_ptr_array_add(aliases, NULL);

        return (char **)g_ptr_array_free(g_steal_pointer(&aliases), FALSE);
}

static bool type_has_id(const VgpuType *t, const char *word)
{
        return strcmp(t->id, word) == 0;
}

static bool type_has_name(const VgpuType *t, const char *word)
{
        TypeNames n = type_names_of(t);

        type_names_add(&n, t->key);

        for (size_t i = 0; i < n.n; i++)
                if (strcmp(n.names[i], word) == 0)
                        return true;

        return false;
}

static bool type_has_similar_name(const VgpuType *t, const char *word)
{
        TypeNames n = type_names_of(t);

        type_names_add(&n, t->key);
        type_names_add(&n, t->id);

        for (size_t i = 0; i < n.n; i++)
                if (type_word_equal(n.names[i], word))
                        return true;

        return false;
}

/* ---- suggestions ---- */

/* "A2-4Q (nvidia-746)" */
static char *type_describe(const VgpuType *t)
{
        const char *name = type_word_skip_vendor(t->name);

        return strcmp(name, t->id) == 0 || !name[0]
                               ? g_strdup(TEXT_QUOTE(t->id))
                               : g_strdup_printf("%s (%s)", TEXT_QUOTE(name), TEXT_QUOTE(t->id));
}

static unsigned type_distance(const VgpuType *t, const char *word)
{
        unsigned distance = type_word_distance(word, t->id);
        TypeNames n = type_names_of(t);

        for (size_t i = 0; i < n.n; i++)
                distance = MIN(distance, type_word_distance(word, n.names[i]));

        return distance;
}

/* Find the types from whose names the word differs least. */
static GPtrArray *types_find_nearest(const GPtrArray *types, const char *word)
{
        GPtrArray *nearest = g_ptr_array_new();
        unsigned least = TYPE_WORD_FAR;

        for (guint i = 0; i < types->len; i++) {
                unsigned distance = type_distance(types->pdata[i], word);

                if (distance < least) {
                        least = distance;
                        g_ptr_array_set_size(nearest, 0);
                }

                if (distance != TYPE_WORD_FAR && distance == least)
                        g_ptr_array_add(nearest, types->pdata[i]);
        }

        return nearest;
}

/* "A", "A or B", "A, B or C" */
static void suggestions_add(GString *text, guint i, guint n, const VgpuType *t)
{
        g_autofree char *description = type_describe(t);

        g_string_append_printf(text, "%s%s", i == 0 ? "" : i + 1 < n ? ", " : " or ", description);
}

void vgpu_types_suggest(const GPtrArray *types, const char *word, VgpudError *reterr)
{
        g_autoptr(GPtrArray) nearest = types_find_nearest(types, word);
        const GPtrArray *named = nearest->len > 0 ? nearest : types;
        g_autoptr(GString) text = g_string_new(NULL);
        guint n = MIN(named->len, VGPU_TYPES_SUGGESTED_MAX);

        for (guint i = 0; i < n; i++)
                suggestions_add(text, i, n, named->pdata[i]);

        if (nearest->len > 0)
                vgpud_error_hintf(reterr, VGPUD_HINT_CHOOSE_OTHER, "did you mean %s?", text->str);
        else if (types->len > n)
                vgpud_error_hintf(reterr, VGPUD_HINT_CHOOSE_OTHER,
                                  "choose another type, such as %s; \"vgpuctl types\" lists all %u", text->str,
                                  types->len);
        else if (n > 0)
                vgpud_error_hintf(reterr, VGPUD_HINT_CHOOSE_OTHER, "choose %s", text->str);
}

/* ---- the search ---- */

static int types_refuse_ambiguous(const GPtrArray *found, const char *word, VgpudError *reterr)
{
        g_autoptr(GString) ids = g_string_new(NULL);
        int r = vgpud_error_setf(reterr, VGPUD_ERROR_AMBIGUOUS, "\"%s\" matches several types",
                                 TEXT_QUOTE(word));

        for (guint i = 0; i < found->len && i < AMBIGUOUS_MAX; i++)
                g_string_append_printf(ids, "%s%s", i > 0 ? ", " : "", ((const VgpuType *)found->pdata[i])->id);
        if (found->len > AMBIGUOUS_MAX)
                g_string_append_printf(ids, " and %u more", found->len - AMBIGUOUS_MAX);

        vgpud_error_hintf(reterr, VGPUD_HINT_CHOOSE_OTHER, "choose one of %s", ids->str);

        return r;
}

const VgpuType *gpu_snapshot_look_up_type(const GpuSnapshot *s, const char *word, VgpudError *reterr)
{
        static bool (*const matches[])(const VgpuType *, const char *) = { type_has_id, type_has_name,
                                                                           type_has_similar_name };
        g_autoptr(GPtrArray) found = g_ptr_array_new();

        for (size_t m = 0; m < G_N_ELEMENTS(matches) && found->len == 0; m++)
                for (guint i = 0; i < s->types->len; i++)
                        if (matches[m](s->types->pdata[i], word))
                                g_ptr_array_add(found, s->types->pdata[i]);

        if (found->len > 1)
                (void)types_refuse_ambiguous(found, word, reterr);

        return found->len == 1 ? found->pdata[0] : NULL;
}

const VgpuType *gpu_snapshot_find_type(const GpuSnapshot *s, const char *word, VgpudError *reterr)
{
        _cleanup_vgpud_error_ VgpudError e = VGPUD_ERROR_INIT;
        const VgpuType *t = gpu_snapshot_look_up_type(s, word, &e);

        if (t)
                return t;

        if (e.code != VGPUD_ERROR_NONE)
                (void)vgpud_error_move(reterr, &e);
        else if (s->types->len > 0) {
                (void)vgpud_error_setf(reterr, VGPUD_ERROR_NO_SUCH_TYPE, "the GPU offers no type \"%s\"",
                                       TEXT_QUOTE(word));
                vgpu_types_suggest(s->types, word, reterr);
        } else
                (void)vgpud_error_setf(reterr, VGPUD_ERROR_NO_SUCH_TYPE,
                                       "the GPU offers no type \"%s\", and no other type now",
                                       TEXT_QUOTE(word));

        return NULL;
}
