/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "cli/host/values.h"

#include "cli/host/find.h"
#include "cli/output/errors.h"

/* ---- simple values ---- */

int value_read_strings(sd_bus_message *m, char ***ret)
{
        g_autoptr(GPtrArray) list = g_ptr_array_new_with_free_func(g_free);
        const char *contents, *s;
        int r;

        r = sd_bus_message_peek_type(m, NULL, &contents);
        if (r < 0)
                return r;

        r = sd_bus_message_enter_container(m, 'a', contents);
        while (r >= 0 && (r = sd_bus_message_read_basic(m, contents[0], &s)) > 0)
                g_ptr_array_add(list, g_strdup(s));
        if (r >= 0)
                r = sd_bus_message_exit_container(m);
        if (r < 0)
                return r;

        g_ptr_array_add(list, NULL);
        *ret = (char **)g_ptr_array_free(g_steal_pointer(&list), false);

        return 0;
}

int value_read_string(sd_bus_message *m, char type, char **value)
{
        const char *s;
        int r;

        r = sd_bus_message_read_basic(m, type, &s);
        if (r < 0)
                return r;

        if (g_strcmp0(s, *value) == 0)
                return 0;

        g_free(*value);
        *value = g_strdup(s);

        return 1;
}

int value_enter(sd_bus_message *m, const char *signature)
{
        int r;

        r = sd_bus_message_enter_container(m, 'v', signature);
        if (r == -ENXIO) { /* another type; the message is still before the variant */
                r = sd_bus_message_skip(m, "v");
                return r < 0 ? r : 0;
        }

        return r < 0 ? r : 1;
}

int value_read_entries(sd_bus_message *m, const char *entry, EntryReader reader, void *userdata)
{
        g_autofree char *contents = g_strconcat("{", entry, "}", NULL);
        int r;

        g_assert(entry[0] == 's' || entry[0] == 'o');

        r = sd_bus_message_enter_container(m, 'a', contents);
        if (r < 0)
                return r;

        while ((r = sd_bus_message_enter_container(m, 'e', entry)) > 0) {
                const char *key;

                r = sd_bus_message_read_basic(m, entry[0], &key);
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

int value_read_dictionary(sd_bus_message *m, EntryReader reader, void *userdata)
{
        return value_read_entries(m, "sv", reader, userdata);
}

int value_read_texts(sd_bus_message *m, const char *key, const TextEntry *entries)
{
        int r;

        for (; entries->key; entries++) {
                if (strcmp(entries->key, key) != 0)
                        continue;

                r = value_enter(m, "s");
                if (r <= 0)
                        return r;

                r = value_read_string(m, 's', entries->value);
                return r < 0 ? r : sd_bus_message_exit_container(m);
        }

        return sd_bus_message_skip(m, "v");
}

/* ---- options, attributes, kept modes ---- */

static void pair_free(void *p)
{
        PairInfo *pair = p;

        g_free(pair->name);
        g_free(pair->text);
        g_free(pair);
}

GPtrArray *pairs_new(void)
{
        return g_ptr_array_new_with_free_func(pair_free);
}

/* a(ss) or a{ss} */
static int pairs_read(sd_bus_message *m, GPtrArray *pairs)
{
        const char *row, *name, *text;
        int r;

        r = sd_bus_message_peek_type(m, NULL, &row);
        if (r >= 0)
                r = sd_bus_message_enter_container(m, 'a', row);

        while (r >= 0 && (r = sd_bus_message_read(m, row, &name, &text)) > 0) {
                PairInfo *pair = g_new0(PairInfo, 1);

                pair->name = g_strdup(name);
                pair->text = g_strdup(text);
                g_ptr_array_add(pairs, pair);
        }

        return r < 0 ? r : sd_bus_message_exit_container(m);
}

static bool pair_equal(const void *a, const void *b)
{
        const PairInfo *x = a, *y = b;

        return strcmp(x->name, y->name) == 0 && strcmp(x->text, y->text) == 0;
}

/* ---- modes ---- */

static void mode_free(void *p)
{
        ModeInfo *mode = p;

        g_free(mode->name);
        g_free(mode->value);
        g_strfreev(mode->choices);
        g_free(mode->help);
        g_free(mode);
}

GPtrArray *modes_new(void)
{
        return g_ptr_array_new_with_free_func(mode_free);
}

static int mode_read_entry(sd_bus_message *m, const char *key, void *userdata)
{
        ModeInfo *mode = userdata;
        const TextEntry texts[] = { { "value", &mode->value }, { "help", &mode->help }, { NULL } };
        int r;

        if (strcmp(key, "choices") != 0)
                return value_read_texts(m, key, texts);

        r = value_enter(m, "as");
        if (r <= 0)
                return r;

        g_strfreev(g_steal_pointer(&mode->choices));
        r = value_read_strings(m, &mode->choices);

        return r < 0 ? r : sd_bus_message_exit_container(m);
}

static int modes_read_mode(sd_bus_message *m, const char *name, void *modes)
{
        ModeInfo *mode = g_new0(ModeInfo, 1);
        int r;

        mode->name = g_strdup(name);
        g_ptr_array_add(modes, mode);

        r = value_read_dictionary(m, mode_read_entry, mode);
        if (!mode->value)
                mode->value = g_strdup("");

        return r;
}

static int modes_read(sd_bus_message *m, GPtrArray *modes)
{
        return value_read_entries(m, "sa{sv}", modes_read_mode, modes);
}

static bool lists_equal(char **a, char **b)
{
        if (!a || !b)
                return a == b;

        return g_strv_equal((const char *const *)a, (const char *const *)b);
}

static bool mode_equal(const void *a, const void *b)
{
        const ModeInfo *x = a, *y = b;

        return strcmp(x->name, y->name) == 0 && strcmp(x->value, y->value) == 0 &&
               lists_equal(x->choices, y->choices) && g_strcmp0(x->help, y->help) == 0;
}

/* ---- details and failures of a job ---- */

void job_details_done(JobDetails *d)
{
        g_free(d->type);
        g_free(d->mode);
        g_free(d->value);
        *d = JOB_DETAILS_INIT;
}

static int details_read_entry(sd_bus_message *m, const char *key, void *userdata)
{
        JobDetails *d = userdata;
        const TextEntry texts[] = {
                { "type", &d->type }, { "mode", &d->mode }, { "value", &d->value }, { NULL }
        };
        bool is_count = strcmp(key, "count") == 0;
        uint32_t count;
        int r, yes;

        if (!is_count && strcmp(key, "foreign") != 0)
                return value_read_texts(m, key, texts);

        r = value_enter(m, is_count ? "u" : "b");
        if (r <= 0)
                return r;

        if (is_count) {
                r = sd_bus_message_read_basic(m, 'u', &count);
                if (r >= 0)
                        d->count = count;
        } else {
                r = sd_bus_message_read_basic(m, 'b', &yes);
                if (r >= 0)
                        d->foreign = yes;
        }

        return r < 0 ? r : sd_bus_message_exit_container(m);
}

static int failure_read_entry(sd_bus_message *m, const char *key, void *userdata)
{
        FailureInfo *f = userdata;
        const TextEntry texts[] = {
                { "error_name", &f->error_name },
                { "message", &f->message },
                { "hint", &f->hint },
                { "hint_id", &f->hint_id },
                { NULL },
        };
        const char *path;
        int r;

        if (strcmp(key, "instance") != 0)
                return value_read_texts(m, key, texts);

        r = value_enter(m, "o");
        if (r <= 0)
                return r;

        r = sd_bus_message_read_basic(m, 'o', &path);
        if (r >= 0) {
                g_free(f->instance);
                f->instance = uuid_from_path(path);
        }

        return r < 0 ? r : sd_bus_message_exit_container(m);
}

static int failures_read(sd_bus_message *m, GPtrArray *failures)
{
        int r;

        r = sd_bus_message_enter_container(m, 'a', "a{sv}");

        while (r >= 0 && (r = sd_bus_message_at_end(m, false)) == 0) {
                FailureInfo *f = g_new0(FailureInfo, 1);

                g_ptr_array_add(failures, f);
                r = value_read_dictionary(m, failure_read_entry, f);
        }

        return r < 0 ? r : sd_bus_message_exit_container(m);
}

static bool failure_equal(const void *a, const void *b)
{
        const FailureInfo *x = a, *y = b;

        return g_strcmp0(x->instance, y->instance) == 0 && g_strcmp0(x->message, y->message) == 0;
}

/* ---- fields ---- */

static bool rows_equal(const GPtrArray *a, const GPtrArray *b, bool (*equal)(const void *a, const void *b))
{
        if (a->len != b->len)
                return false;

        for (unsigned i = 0; i < a->len; i++)
                if (!equal(a->pdata[i], b->pdata[i]))
                        return false;

        return true;
}

static int field_read_rows(sd_bus_message *m, FieldForm form, GPtrArray **rows)
{
        static const struct {
                GPtrArray *(*make)(void);
                int (*read)(sd_bus_message *m, GPtrArray *rows);
                bool (*equal)(const void *a, const void *b);
        } kinds[] = {
                [FORM_PAIRS] = { pairs_new, pairs_read, pair_equal },
                [FORM_MODES] = { modes_new, modes_read, mode_equal },
                [FORM_FAILURES] = { failures_new, failures_read, failure_equal },
        };
        g_autoptr(GPtrArray) fresh = kinds[form].make();
        int r;

        r = kinds[form].read(m, fresh);
        if (r < 0 || rows_equal(*rows, fresh, kinds[form].equal))
                return r < 0 ? r : 0;

        g_ptr_array_unref(*rows);
        *rows = g_steal_pointer(&fresh);

        return 1;
}

static int field_read_list(sd_bus_message *m, char ***list)
{
        char **fresh;
        bool same;
        int r;

        r = value_read_strings(m, &fresh);
        if (r < 0)
                return r;

        same = lists_equal(*list, fresh);
        g_strfreev(*list);
        *list = fresh;

        return !same;
}

static int field_read_details(sd_bus_message *m, JobDetails *d)
{
        JobDetails fresh = JOB_DETAILS_INIT;
        int r;

        r = value_read_dictionary(m, details_read_entry, &fresh);
        if (r < 0) {
                job_details_done(&fresh);
                return r;
        }

        job_details_done(d);
        *d = fresh;

        return 1;
}

/* Read a number that may be unknown: UINT32_MAX or UINT64_MAX on the bus says so, and *number becomes -1. Any
 * other number that an int64_t cannot hold also becomes -1. */
static int field_read_number(sd_bus_message *m, char signature, int64_t *number)
{
        int64_t old = *number;
        uint32_t narrow;
        uint64_t wide;
        int r;

        if (signature == 'u') {
                r = sd_bus_message_read_basic(m, 'u', &narrow);
                if (r >= 0)
                        *number = narrow == UINT32_MAX ? -1 : (int64_t)narrow;
        } else {
                r = sd_bus_message_read_basic(m, 't', &wide);
                if (r >= 0)
                        *number = wide > INT64_MAX ? -1 : (int64_t)wide;
        }

        return r < 0 ? r : *number != old;
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
        FieldForm form = field_form(f);
        int r;

        if (form == FORM_TEXT)
                return value_read_string(m, f->signature[0], AT(char *, object, f));
        if (form == FORM_LIST)
                return field_read_list(m, AT(char **, object, f));
        if (form == FORM_DETAILS)
                return field_read_details(m, AT(JobDetails, object, f));
        if (form != FORM_NUMBER)
                return field_read_rows(m, form, AT(GPtrArray *, object, f));

        if (f->flags & IS_NUMBER)
                return field_read_number(m, f->signature[0], AT(int64_t, object, f));

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
