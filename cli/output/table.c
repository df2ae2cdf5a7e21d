/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "cli/output/table.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/output/format.h"

typedef struct Cell {
        char *text;
        unsigned width;
        Tone tone;
} Cell;

struct Table {
        const Column *columns; /* borrowed */
        unsigned n_columns;
        GArray *cells; /* Cell */
};

Table *table_new(const Column *columns, unsigned n_columns)
{
        Table *t;

        g_assert(n_columns > 0);

        t = g_new0(Table, 1);

        t->columns = columns;
        t->n_columns = n_columns;
        t->cells = g_array_new(false, false, sizeof(Cell));

        return t;
}

void table_add(Table *t, const char *cell, Tone tone)
{
        Cell c = { .text = format_printable(cell && *cell ? cell : "-"), .tone = tone };

        c.width = text_width(c.text);
        g_array_append_val(t->cells, c);
}

void table_take(Table *t, char *cell, Tone tone)
{
        table_add(t, cell, tone);
        g_free(cell);
}

unsigned table_rows(const Table *t)
{
        return t->cells->len / t->n_columns;
}

/* Narrow the widest column with COLUMN_SHRINK until the row fits, or no such column can be narrower. */
static void table_shrink(const Table *t, unsigned *widths, unsigned indent)
{
        const unsigned least = 8;
        unsigned terminal = terminal_columns(STDOUT_FILENO), total = indent;

        for (unsigned i = 0; i < t->n_columns; i++)
                total += widths[i] + (i > 0 ? 2 : 0);
        while (terminal > 0 && total > terminal) {
                unsigned widest = t->n_columns;

                for (unsigned i = 0; i < t->n_columns; i++)
                        if ((t->columns[i].flags & COLUMN_SHRINK) && widths[i] > least &&
                            (widest == t->n_columns || widths[i] > widths[widest]))
                                widest = i;

                if (widest == t->n_columns)
                        break;

                widths[widest]--;
                total--;
        }
}

static void table_append_blanks(GString *s, unsigned n)
{
        gsize begin = s->len;

        g_string_set_size(s, begin + n);
        memset(s->str + begin, ' ', n);
}

static void table_append_cell(GString *s, const Column *column, const char *text, unsigned width, unsigned room,
                              Tone tone, bool last)
{
        g_autofree char *cut = width > room ? text_fit(text, room) : NULL;
        unsigned pad;

        if (cut)
                width = text_width(cut);
        pad = room > width ? room - width : 0;
        if (column->flags & COLUMN_RIGHT)
                table_append_blanks(s, pad);
        g_string_append(s, tone_begin(tone));
        g_string_append(s, cut ? cut : text);
        g_string_append(s, tone_end(tone));

        if (!(column->flags & COLUMN_RIGHT) && !last)
                table_append_blanks(s, pad);
        g_string_append(s, last ? "\n" : "  ");
}

void table_print(const Table *t, unsigned indent, bool legend)
{
        g_autofree unsigned *widths = g_new0(unsigned, t->n_columns);
        g_autoptr(GString) s = g_string_sized_new(4096);

        g_assert(t->cells->len % t->n_columns == 0); /* the last row is complete */

        for (unsigned i = 0; i < t->n_columns; i++)
                widths[i] = legend ? (unsigned)strlen(t->columns[i].title) : 1;
        for (unsigned i = 0; i < t->cells->len; i++) {
                unsigned *w = &widths[i % t->n_columns];

                *w = MAX(*w, g_array_index(t->cells, Cell, i).width);
        }

        table_shrink(t, widths, indent);

        if (legend) {
                table_append_blanks(s, indent);
                for (unsigned i = 0; i < t->n_columns; i++)
                        table_append_cell(s, &t->columns[i], t->columns[i].title,
                                          (unsigned)strlen(t->columns[i].title), widths[i], TONE_HEAD,
                                          i + 1 == t->n_columns);
        }

        for (unsigned i = 0; i < t->cells->len; i++) {
                const Cell *c = &g_array_index(t->cells, Cell, i);
                unsigned column = i % t->n_columns;

                if (column == 0)
                        table_append_blanks(s, indent);
                table_append_cell(s, &t->columns[column], c->text, c->width, widths[column], c->tone,
                                  column + 1 == t->n_columns);
        }

        (void)fwrite(s->str, 1, s->len, stdout);
}

Table *table_free(Table *t)
{
        if (!t)
                return NULL;

        for (unsigned i = 0; i < t->cells->len; i++)
                g_free(g_array_index(t->cells, Cell, i).text);
        g_array_unref(t->cells);
        g_free(t);

        return NULL;
}
