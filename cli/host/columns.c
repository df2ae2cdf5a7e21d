/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "cli/host/columns.h"

#include "cli/host/values.h"

typedef struct ColumnReader {
        const FieldTable *table;
        GPtrArray *rows;
        void *(*row_new)(void);
        bool has_rows; /* a column has been read: the number of rows is known */
} ColumnReader;

static int column_read(sd_bus_message *m, const Field *f, ColumnReader *c)
{
        unsigned i = 0;
        int r;

        r = sd_bus_message_enter_container(m, 'a', f->signature);
        if (r < 0)
                return r;

        for (; (r = sd_bus_message_at_end(m, false)) == 0; i++) {
                if (i == c->rows->len && c->has_rows)
                        return -EBADMSG;
                if (i == c->rows->len)
                        g_ptr_array_add(c->rows, c->row_new());
                r = field_read(m, f, c->rows->pdata[i]);
                if (r < 0)
                        return r;
        }

        if (r < 0)
                return r;

        if (i != c->rows->len)
                return -EBADMSG;

        c->has_rows = true;

        return sd_bus_message_exit_container(m);
}

static int column_read_entry(sd_bus_message *m, const char *key, void *userdata)
{
        ColumnReader *c = userdata;
        const Field *f = field_find(c->table, key);
        g_autofree char *signature = f ? g_strconcat("a", f->signature, NULL) : NULL;
        int r;

        if (!f)
                return sd_bus_message_skip(m, "v");

        r = value_enter(m, signature);
        if (r <= 0)
                return r;

        r = column_read(m, f, c);

        return r < 0 ? r : sd_bus_message_exit_container(m);
}

int columns_read(sd_bus_message *m, const FieldTable *t, GPtrArray *rows, void *(*row_new)(void))
{
        ColumnReader c = { .table = t, .rows = rows, .row_new = row_new };

        g_assert(rows->len == 0);

        return value_read_dictionary(m, column_read_entry, &c);
}

/* ---- virtual functions ---- */

static void vf_free(void *p)
{
        fields_done(&vf_fields, p);
        g_free(p);
}

GPtrArray *vfs_new(void)
{
        return g_ptr_array_new_with_free_func(vf_free);
}

void *vf_new(void)
{
        VfInfo *vf = g_new0(VfInfo, 1);

        fields_init(&vf_fields, vf);

        return vf;
}

void *vf_change_new(void)
{
        return g_new0(VfInfo, 1);
}

static void vf_set_text(char **text, const char *value)
{
        if (!value)
                return;

        g_free(*text);
        *text = g_strdup(value);
}

void vfs_apply(GPtrArray *vfs, const GPtrArray *changes)
{
        for (unsigned i = 0; i < changes->len; i++) {
                const VfInfo *change = changes->pdata[i];

                for (unsigned n = 0; n < vfs->len; n++) {
                        VfInfo *vf = vfs->pdata[n];

                        if (vf->index != change->index)
                                continue;

                        vf_set_text(&vf->instance, change->instance);
                        vf_set_text(&vf->driver, change->driver);
                        vf_set_text(&vf->driver_override, change->driver_override);
                        vf_set_text(&vf->state, change->state);
                }
        }
}
