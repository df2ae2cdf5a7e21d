/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "dbus/bus-types.h"

#include <string.h>

#include "daemon/model/gpu.h"
#include "dbus/bus-gpu.h"
#include "dbus/message/bus-util.h"
#include "drivers-glue/type-find.h"

/* Largest number of choices of a mode that the property Modes shows. */
#define MODES_CHOICES_MAX 16U

/* A row of "offers". */
typedef struct TypesOffer {
        uint32_t gpu, type, available, why_not, hint, hint_id;
} TypesOffer;

/* Collects the rows of all tables. */
typedef struct TypesTables {
        GPtrArray *offers;     /* TypesOffer, owned */
        GPtrArray *gpus;       /* Gpu */
        GPtrArray *types;      /* VgpuType */
        GPtrArray *texts;      /* const char * */
        GHashTable *types_of;  /* id -> GArray of rows in `types` with this id */
        GHashTable *text_rows; /* text -> row in `texts` */
} TypesTables;

static void types_rows_free(gpointer rows)
{
        g_array_unref(rows);
}

static void types_tables_init(TypesTables *t)
{
        *t = (TypesTables){
                .offers = g_ptr_array_new_with_free_func(g_free),
                .gpus = g_ptr_array_new(),
                .types = g_ptr_array_new(),
                .texts = g_ptr_array_new(),
                .types_of = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, types_rows_free),
                .text_rows = g_hash_table_new(g_str_hash, g_str_equal),
        };

        /* Row 0 is the empty text. */
        g_ptr_array_add(t->texts, (char *)"");
}

static void types_tables_done(TypesTables *t)
{
        g_ptr_array_unref(t->offers);
        g_ptr_array_unref(t->gpus);
        g_ptr_array_unref(t->types);
        g_ptr_array_unref(t->texts);
        g_hash_table_unref(t->types_of);
        g_hash_table_unref(t->text_rows);
}

/* ---- constant data ---- */

static bool types_options_equal(const GPtrArray *a, const GPtrArray *b)
{
        guint n_a = a ? a->len : 0, n_b = b ? b->len : 0;

        if (n_a != n_b)
                return false;

        for (guint i = 0; i < n_a; i++) {
                const VgpuTypeOption *x = a->pdata[i], *y = b->pdata[i];

                if (g_strcmp0(x->name, y->name) != 0 || g_strcmp0(x->help, y->help) != 0)
                        return false;
        }

        return true;
}

static bool types_texts_equal(const VgpuType *a, const VgpuType *b)
{
        return strcmp(a->id, b->id) == 0 && g_strcmp0(a->name, b->name) == 0 &&
               g_strcmp0(a->description, b->description) == 0 && g_strcmp0(a->device_api, b->device_api) == 0 &&
               g_strcmp0(a->key, b->key) == 0 && g_strcmp0(a->product, b->product) == 0 &&
               g_strcmp0(a->class, b->class) == 0 && g_strcmp0(a->earlier_name, b->earlier_name) == 0;
}

static bool types_numbers_equal(const VgpuType *a, const VgpuType *b)
{
        return a->mig == b->mig && a->framebuffer_bytes == b->framebuffer_bytes &&
               a->low_gm_bytes == b->low_gm_bytes && a->high_gm_bytes == b->high_gm_bytes &&
               a->fences == b->fences && a->weight == b->weight && a->heads == b->heads &&
               a->frame_rate_limit == b->frame_rate_limit && a->max_x == b->max_x && a->max_y == b->max_y &&
               a->max_instances == b->max_instances;
}

/* True if two types have equal constant data: all columns but available, why_not, hint and hint_id. The aliases
 * are not compared, because they follow from id and name. */
static bool types_constant_equal(const VgpuType *a, const VgpuType *b)
{
        return types_texts_equal(a, b) && types_numbers_equal(a, b) &&
               types_options_equal(a->options, b->options);
}

static bool types_variable_equal(const VgpuType *a, const VgpuType *b)
{
        return a->available == b->available && g_strcmp0(a->why_not, b->why_not) == 0 &&
               vgpud_hint_equal(&a->hint, &b->hint);
}

/* ---- rows ---- */

static uint32_t types_text_row(TypesTables *t, const char *text)
{
        void *row;

        if (!text || !text[0])
                return 0;

        if (g_hash_table_lookup_extended(t->text_rows, text, NULL, &row))
                return GPOINTER_TO_UINT(row);

        g_ptr_array_add(t->texts, (char *)text);
        g_hash_table_insert(t->text_rows, (char *)text, GUINT_TO_POINTER(t->texts->len - 1));

        return t->texts->len - 1;
}

static uint32_t types_type_row(TypesTables *t, const VgpuType *type)
{
        GArray *rows = g_hash_table_lookup(t->types_of, type->id);
        guint row = t->types->len;

        if (!rows) {
                rows = g_array_new(false, false, sizeof(guint));
                g_hash_table_insert(t->types_of, type->id, rows);
        }

        for (guint i = 0; i < rows->len; i++) {
                guint other = g_array_index(rows, guint, i);

                if (types_constant_equal(t->types->pdata[other], type))
                        return other;
        }

        g_array_append_val(rows, row);
        g_ptr_array_add(t->types, (VgpuType *)type);

        return row;
}

static void types_add_gpu(TypesTables *t, Gpu *gpu)
{
        const GPtrArray *types = gpu->snapshot ? gpu->snapshot->types : NULL;

        g_ptr_array_add(t->gpus, gpu);

        for (guint i = 0; types && i < types->len; i++) {
                const VgpuType *type = types->pdata[i];
                TypesOffer *offer = g_new(TypesOffer, 1);

                *offer = (TypesOffer){
                        .gpu = t->gpus->len - 1,
                        .type = types_type_row(t, type),
                        .available = type->available,
                        .why_not = types_text_row(t, type->why_not),
                        .hint = types_text_row(t, type->hint.text),
                        .hint_id = types_text_row(t, vgpud_hint_id_to_string(type->hint.id)),
                };
                g_ptr_array_add(t->offers, offer);
        }
}

/* ---- columns ---- */

BUS_DEFINE_COLUMN(offer_append_gpu, TypesOffer, offer, "u", offer->gpu)
BUS_DEFINE_COLUMN(offer_append_type, TypesOffer, offer, "u", offer->type)
BUS_DEFINE_COLUMN(offer_append_available, TypesOffer, offer, "u", offer->available)
BUS_DEFINE_COLUMN(offer_append_why_not, TypesOffer, offer, "u", offer->why_not)
BUS_DEFINE_COLUMN(offer_append_hint, TypesOffer, offer, "u", offer->hint)
BUS_DEFINE_COLUMN(offer_append_hint_id, TypesOffer, offer, "u", offer->hint_id)

static const BusColumn offer_columns[] = {
        { "gpu", "u", offer_append_gpu },
        { "type", "u", offer_append_type },
        { "available", "u", offer_append_available },
        { "why_not", "u", offer_append_why_not },
        { "hint", "u", offer_append_hint },
        { "hint_id", "u", offer_append_hint_id },
};

static int gpu_append_object_path(sd_bus_message *m, const void *gpu)
{
        g_autofree char *path = bus_gpu_path(gpu);

        return sd_bus_message_append_basic(m, 'o', path);
}

BUS_DEFINE_TEXT_COLUMN(gpu_append_name, Gpu, gpu, gpu_name(gpu))
BUS_DEFINE_COLUMN(gpu_append_stale, Gpu, gpu, "b", gpu_is_stale(gpu))

static const BusColumn gpu_columns[] = {
        { "object_path", "o", gpu_append_object_path },
        { "name", "s", gpu_append_name },
        { "stale", "b", gpu_append_stale },
};

/* A number that the driver does not tell is 0 in a VgpuType and the largest value on the bus. */
#define KNOWN32(n) ((n) > 0 ? (n) : UINT32_MAX)
#define KNOWN64(n) ((n) > 0 ? (n) : UINT64_MAX)

BUS_DEFINE_TEXT_COLUMN(type_append_id, VgpuType, type, type->id)
BUS_DEFINE_TEXT_COLUMN(type_append_name, VgpuType, type, type->name ? type->name : type->id)
BUS_DEFINE_TEXT_COLUMN(type_append_description, VgpuType, type, type->description)
BUS_DEFINE_TEXT_COLUMN(type_append_device_api, VgpuType, type, type->device_api)
BUS_DEFINE_TEXT_COLUMN(type_append_key, VgpuType, type, type->key)
BUS_DEFINE_TEXT_COLUMN(type_append_product, VgpuType, type, type->product)
BUS_DEFINE_TEXT_COLUMN(type_append_class, VgpuType, type, type->class)
BUS_DEFINE_TEXT_COLUMN(type_append_earlier_name, VgpuType, type, type->earlier_name)
BUS_DEFINE_COLUMN(type_append_mig, VgpuType, type, "b", type->mig)
BUS_DEFINE_COLUMN(type_append_framebuffer_bytes, VgpuType, type, "t", KNOWN64(type->framebuffer_bytes))
BUS_DEFINE_COLUMN(type_append_low_gm_bytes, VgpuType, type, "t", KNOWN64(type->low_gm_bytes))
BUS_DEFINE_COLUMN(type_append_high_gm_bytes, VgpuType, type, "t", KNOWN64(type->high_gm_bytes))
BUS_DEFINE_COLUMN(type_append_fences, VgpuType, type, "u", KNOWN32(type->fences))
BUS_DEFINE_COLUMN(type_append_weight, VgpuType, type, "u", KNOWN32(type->weight))
BUS_DEFINE_COLUMN(type_append_heads, VgpuType, type, "u", KNOWN32(type->heads))
BUS_DEFINE_COLUMN(type_append_frame_rate_limit, VgpuType, type, "u", KNOWN32(type->frame_rate_limit))
BUS_DEFINE_COLUMN(type_append_max_x, VgpuType, type, "u", KNOWN32(type->max_x))
BUS_DEFINE_COLUMN(type_append_max_y, VgpuType, type, "u", KNOWN32(type->max_y))
BUS_DEFINE_COLUMN(type_append_max_instances, VgpuType, type, "u", KNOWN32(type->max_instances))

static int type_append_aliases(sd_bus_message *m, const void *type)
{
        g_auto(GStrv) aliases = vgpu_type_aliases(type);

        return bus_append_strings(m, aliases);
}

static int type_append_options(sd_bus_message *m, const void *p)
{
        const VgpuType *type = p;
        int r;

        r = sd_bus_message_open_container(m, 'a', "(ss)");

        for (guint i = 0; r >= 0 && type->options && i < type->options->len; i++) {
                const VgpuTypeOption *o = type->options->pdata[i];

                r = sd_bus_message_open_container(m, 'r', "ss");
                if (r >= 0)
                        r = bus_append_text(m, o->name);
                if (r >= 0)
                        r = bus_append_text(m, o->help);
                if (r >= 0)
                        r = sd_bus_message_close_container(m);
        }

        return r < 0 ? r : sd_bus_message_close_container(m);
}

static const BusColumn type_columns[] = {
        { "id", "s", type_append_id },
        { "name", "s", type_append_name },
        { "description", "s", type_append_description },
        { "device_api", "s", type_append_device_api },
        { "aliases", "as", type_append_aliases },
        { "key", "s", type_append_key },
        { "product", "s", type_append_product },
        { "class", "s", type_append_class },
        { "earlier_name", "s", type_append_earlier_name },
        { "mig", "b", type_append_mig },
        { "options", "a(ss)", type_append_options },
        { "framebuffer_bytes", "t", type_append_framebuffer_bytes },
        { "low_gm_bytes", "t", type_append_low_gm_bytes },
        { "high_gm_bytes", "t", type_append_high_gm_bytes },
        { "fences", "u", type_append_fences },
        { "weight", "u", type_append_weight },
        { "heads", "u", type_append_heads },
        { "frame_rate_limit", "u", type_append_frame_rate_limit },
        { "max_x", "u", type_append_max_x },
        { "max_y", "u", type_append_max_y },
        { "max_instances", "u", type_append_max_instances },
};

/* ---- the answer ---- */

static int types_append_entry(sd_bus_message *m, const char *key, const BusColumn *columns, size_t n,
                              const GPtrArray *rows)
{
        int r;

        r = bus_open_entry(m, key, "a{sv}");
        if (r >= 0)
                r = bus_append_table(m, columns, n, rows);

        return r < 0 ? r : bus_close_entry(m);
}

int bus_types_append(sd_bus_message *m, const GPtrArray *gpus)
{
        _cleanup_(types_tables_done) TypesTables t;
        int r;

        types_tables_init(&t);

        for (guint i = 0; i < gpus->len; i++)
                types_add_gpu(&t, gpus->pdata[i]);
        g_ptr_array_add(t.texts, NULL);

        r = sd_bus_message_open_container(m, 'a', "{sv}");
        if (r >= 0)
                r = types_append_entry(m, "offers", offer_columns, G_N_ELEMENTS(offer_columns), t.offers);
        if (r >= 0)
                r = types_append_entry(m, "gpus", gpu_columns, G_N_ELEMENTS(gpu_columns), t.gpus);
        if (r >= 0)
                r = types_append_entry(m, "types", type_columns, G_N_ELEMENTS(type_columns), t.types);
        if (r >= 0)
                r = bus_append_entry_strings(m, "texts", (char **)t.texts->pdata);

        return r < 0 ? r : sd_bus_message_close_container(m);
}

/* ---- the difference of two snapshots ---- */

BusTypesDifference bus_types_compare(const GpuSnapshot *before, const GpuSnapshot *after)
{
        guint n_before = before ? before->types->len : 0, n_after = after ? after->types->len : 0;
        unsigned n_rows = 0;

        if (n_before != n_after)
                return BUS_TYPES_LIST;

        for (guint i = 0; i < n_after; i++) {
                const VgpuType *a = before->types->pdata[i], *b = after->types->pdata[i];

                if (!types_constant_equal(a, b))
                        return BUS_TYPES_LIST;

                n_rows += !types_variable_equal(a, b);
        }

        return n_rows == 0 ? BUS_TYPES_SAME : n_rows > BUS_CHANGED_ROWS_MAX ? BUS_TYPES_LIST : BUS_TYPES_ROWS;
}

typedef struct TypesChange {
        uint32_t row, available;
} TypesChange;

BUS_DEFINE_COLUMN(change_append_row, TypesChange, change, "u", change->row)
BUS_DEFINE_COLUMN(change_append_available, TypesChange, change, "u", change->available)

static const BusColumn change_columns[] = {
        { "row", "u", change_append_row },
        { "available", "u", change_append_available },
};

int bus_types_append_changes(sd_bus_message *m, const GpuSnapshot *before, const GpuSnapshot *after)
{
        g_autoptr(GPtrArray) changes = g_ptr_array_new_with_free_func(g_free);

        g_assert(before && after && before->types->len == after->types->len);

        for (guint i = 0; i < after->types->len; i++) {
                const VgpuType *type = after->types->pdata[i];
                TypesChange *change;

                if (types_variable_equal(before->types->pdata[i], type))
                        continue;

                change = g_new(TypesChange, 1);
                *change = (TypesChange){ .row = i, .available = type->available };
                g_ptr_array_add(changes, change);
        }

        return bus_append_table(m, change_columns, G_N_ELEMENTS(change_columns), changes);
}

/* ---- modes ---- */

static int modes_append_text(sd_bus_message *reply, const char *key, const char *text)
{
        int r;

        r = bus_open_entry(reply, key, "s");
        if (r >= 0)
                r = bus_append_short_text(reply, text, BUS_SHORT_TEXT_MAX);

        return r < 0 ? r : bus_close_entry(reply);
}

/* Append only the first choices, because a mode must fit into a signal. Configure accepts the other choices,
 * too. */
static int modes_append_choices(sd_bus_message *reply, char *const *choices)
{
        int r;

        r = bus_open_entry(reply, "choices", "as");
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "s");
        for (size_t i = 0; r >= 0 && choices[i] && i < MODES_CHOICES_MAX; i++)
                r = bus_append_short_text(reply, choices[i], BUS_MAX_MODE);
        if (r >= 0)
                r = sd_bus_message_close_container(reply);

        return r < 0 ? r : bus_close_entry(reply);
}

static int modes_append(sd_bus_message *reply, const VgpuMode *mode)
{
        int r;

        r = sd_bus_message_open_container(reply, 'e', "sa{sv}");
        if (r >= 0)
                r = bus_append_short_text(reply, mode->name, BUS_MAX_MODE);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "{sv}");
        if (r >= 0)
                r = modes_append_text(reply, "value", mode->value ? mode->value : "");
        if (r >= 0 && mode->choices)
                r = modes_append_choices(reply, mode->choices);
        if (r >= 0 && mode->help)
                r = modes_append_text(reply, "help", mode->help);
        if (r >= 0)
                r = sd_bus_message_close_container(reply);

        return r < 0 ? r : sd_bus_message_close_container(reply);
}

int bus_types_append_modes(sd_bus_message *reply, const Gpu *gpu)
{
        const GPtrArray *modes = gpu->snapshot ? gpu->snapshot->modes : NULL;
        int r;

        r = sd_bus_message_open_container(reply, 'a', "{sa{sv}}");

        for (guint i = 0; r >= 0 && modes && i < modes->len; i++)
                r = modes_append(reply, modes->pdata[i]);

        return r < 0 ? r : sd_bus_message_close_container(reply);
}
