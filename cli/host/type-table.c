/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "cli/host/type-table.h"

#include "cli/host/columns.h"
#include "cli/host/fields.h"
#include "cli/host/find.h"
#include "cli/host/values.h"

typedef struct Offer {
        uint32_t gpu;
        uint32_t type;
        int64_t available;
        uint32_t why_not;
        uint32_t hint;
        uint32_t hint_id;
} Offer;

typedef struct OfferGpu {
        char *path;
        char *name;
        bool stale;
} OfferGpu;

static const Field offer_field_rows[] = {
        { NULL, "gpu", "u", offsetof(Offer, gpu), 0 },
        { NULL, "type", "u", offsetof(Offer, type), 0 },
        { NULL, "available", "u", offsetof(Offer, available), IS_NUMBER },
        { NULL, "why_not", "u", offsetof(Offer, why_not), 0 },
        { NULL, "hint", "u", offsetof(Offer, hint), 0 },
        { NULL, "hint_id", "u", offsetof(Offer, hint_id), 0 },
};
static const FieldTable offer_fields = { offer_field_rows, G_N_ELEMENTS(offer_field_rows) };

static const Field offer_gpu_field_rows[] = {
        { NULL, "object_path", "o", offsetof(OfferGpu, path), 0 },
        { NULL, "name", "s", offsetof(OfferGpu, name), 0 },
        { NULL, "stale", "b", offsetof(OfferGpu, stale), 0 },
};
static const FieldTable offer_gpu_fields = { offer_gpu_field_rows, G_N_ELEMENTS(offer_gpu_field_rows) };

typedef struct TypeTable {
        GPtrArray *offers; /* Offer */
        GPtrArray *gpus;   /* OfferGpu */
        GPtrArray *types;  /* TypeInfo */
        GPtrArray *texts;  /* char * */
} TypeTable;

static void *offer_new(void)
{
        Offer *o = g_new0(Offer, 1);

        fields_init(&offer_fields, o);

        return o;
}

static void *offer_gpu_new(void)
{
        OfferGpu *g = g_new0(OfferGpu, 1);

        fields_init(&offer_gpu_fields, g);

        return g;
}

static void offer_gpu_free(void *p)
{
        fields_done(&offer_gpu_fields, p);
        g_free(p);
}

static void *type_row_new(void)
{
        TypeInfo *t = g_new0(TypeInfo, 1);

        fields_init(&type_fields, t);

        return t;
}

static void type_row_free(void *p)
{
        fields_done(&type_fields, p);
        g_free(p);
}

static int type_table_read_entry(sd_bus_message *m, const char *key, void *userdata)
{
        TypeTable *t = userdata;
        const struct {
                const char *key;
                const FieldTable *fields;
                GPtrArray *rows;
                void *(*row_new)(void);
        } tables[] = {
                { "offers", &offer_fields, t->offers, offer_new },
                { "gpus", &offer_gpu_fields, t->gpus, offer_gpu_new },
                { "types", &type_fields, t->types, type_row_new },
        };
        const char *text;
        int r;

        for (size_t i = 0; i < G_N_ELEMENTS(tables); i++) {
                if (strcmp(tables[i].key, key) != 0)
                        continue;

                /* A dictionary of the bus may have a key twice. */
                if (tables[i].rows->len > 0)
                        return -EBADMSG;

                r = value_enter(m, "a{sv}");
                if (r <= 0)
                        return r;

                r = columns_read(m, tables[i].fields, tables[i].rows, tables[i].row_new);
                return r < 0 ? r : sd_bus_message_exit_container(m);
        }

        if (strcmp(key, "texts") != 0)
                return sd_bus_message_skip(m, "v");

        r = value_enter(m, "as");
        if (r <= 0)
                return r;

        r = sd_bus_message_enter_container(m, 'a', "s");
        while (r >= 0 && (r = sd_bus_message_read_basic(m, 's', &text)) > 0)
                g_ptr_array_add(t->texts, g_strdup(text));
        if (r >= 0)
                r = sd_bus_message_exit_container(m);

        return r < 0 ? r : sd_bus_message_exit_container(m);
}

/* NULL for row 0, which is the empty text, and for a row that does not exist. */
static const char *type_table_text(const TypeTable *t, uint32_t row)
{
        const char *text = row < t->texts->len ? t->texts->pdata[row] : "";

        return *text ? text : NULL;
}

static int type_table_join(const TypeTable *t, Host *h)
{
        g_autoptr(GPtrArray) gpus = g_ptr_array_new();

        for (unsigned i = 0; i < t->gpus->len; i++) {
                const OfferGpu *row = t->gpus->pdata[i];
                GpuInfo *g = host_add(h, OBJECT_GPU, row->path);

                g_ptr_array_add(gpus, g);
                g_free(g->name);
                g->name = g_strdup(row->name);
                g->stale = row->stale;
                g_ptr_array_set_size(g->types, 0);
                g_clear_pointer(&g->type_rows, g_ptr_array_unref);
                g_clear_pointer(&g->texts, g_ptr_array_unref);
                g->type_rows = g_ptr_array_ref(t->types);
                g->texts = g_ptr_array_ref(t->texts);
        }

        for (unsigned i = 0; i < t->offers->len; i++) {
                const Offer *o = t->offers->pdata[i];
                TypeInfo *type;

                if (o->gpu >= t->gpus->len || o->type >= t->types->len)
                        return -EBADMSG;

                /* The copy borrows the texts and lists of the row. */
                type = g_memdup2(t->types->pdata[o->type], sizeof(TypeInfo));
                type->available = o->available;
                type->why_not = type_table_text(t, o->why_not);
                type->hint = type_table_text(t, o->hint);
                type->hint_id = type_table_text(t, o->hint_id);
                g_ptr_array_add(((GpuInfo *)gpus->pdata[o->gpu])->types, type);
        }

        return 0;
}

int type_table_read(Host *h, sd_bus_message *m)
{
        TypeTable t = {
                .offers = g_ptr_array_new_with_free_func(g_free),
                .gpus = g_ptr_array_new_with_free_func(offer_gpu_free),
                .types = g_ptr_array_new_with_free_func(type_row_free),
                .texts = g_ptr_array_new_with_free_func(g_free),
        };
        int r;

        r = value_read_dictionary(m, type_table_read_entry, &t);
        if (r >= 0)
                r = type_table_join(&t, h);
        g_ptr_array_unref(t.offers);
        g_ptr_array_unref(t.gpus);
        g_ptr_array_unref(t.types);
        g_ptr_array_unref(t.texts);

        return r;
}

TypeInfo *gpu_type(const GpuInfo *g, unsigned i)
{
        g_assert(i < g->types->len);

        return g->types->pdata[i];
}
