/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "dbus/message/bus-util.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "base/parse-util.h"
#include "base/text.h"
#include "base/uuid.h"
#include "dbus/bus-names.h"
#include "dbus/message/bus-error.h"
#include "drivers-glue/driver.h"

char *bus_path_gpu(const char *name)
{
        char *path = NULL;
        int r = sd_bus_path_encode(VGPUD_PATH_GPU, name, &path);

        /* sd_bus_path_encode() fails only for a malformed prefix or without memory. */
        g_assert(r >= 0 && path);

        return path;
}

char *bus_path_instance(const char *uuid)
{
        g_assert(strlen(uuid) == UUID_STRLEN);

        return g_strdelimit(g_strconcat(VGPUD_PATH_INSTANCE "/", uuid, NULL), "-", '_');
}

char *bus_path_job(uint32_t id)
{
        g_assert(id > 0);

        return g_strdup_printf(VGPUD_PATH_JOB "/%" PRIu32, id);
}

char *bus_path_to_gpu(const char *path)
{
        g_autofree char *name = NULL, *back = NULL;

        if (sd_bus_path_decode(path, VGPUD_PATH_GPU, &name) <= 0)
                return NULL;

        back = bus_path_gpu(name);

        return strcmp(back, path) == 0 ? g_steal_pointer(&name) : NULL;
}

/* Allocates nothing, because the function runs for each object of GetManagedObjects. */
bool bus_path_to_instance(const char *path, char uuid[static 37])
{
        const char *s = path + strlen(VGPUD_PATH_INSTANCE "/");

        if (!g_str_has_prefix(path, VGPUD_PATH_INSTANCE "/") || strlen(s) != UUID_STRLEN)
                return false;

        for (size_t i = 0; i <= UUID_STRLEN; i++) {
                if (g_ascii_isupper(s[i]) || s[i] == '-')
                        return false;

                uuid[i] = s[i] == '_' ? '-' : s[i];
        }

        return uuid_is_valid(uuid);
}

uint32_t bus_path_to_job(const char *path)
{
        g_autofree char *back = NULL;
        uint32_t id;

        if (!g_str_has_prefix(path, VGPUD_PATH_JOB "/") ||
            parse_u32(path + strlen(VGPUD_PATH_JOB "/"), 10, &id) < 0 || id == 0)
                return 0;

        back = bus_path_job(id);

        return strcmp(back, path) == 0 ? id : 0;
}

/* ---- limits of calls ---- */

int bus_check_text(const char *what, const char *name, const char *text, size_t max, VgpudError *reterr)
{
        g_assert(max > 0);

        if (strnlen(text, max + 1) <= max)
                return 0;

        return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID, "%s '%s' has more than %zu bytes", what, name,
                                max);
}

int bus_read_text(sd_bus_message *call, const char *argument, size_t max, const char **ret, VgpudError *reterr)
{
        const char *text;
        int r;

        r = sd_bus_message_read_basic(call, 's', &text);
        if (r < 0)
                return r;
        if (r == 0)
                return -EBADMSG;

        r = bus_check_text("argument", argument, text, max, reterr);
        if (r < 0)
                return r;

        *ret = text;

        return 0;
}

int bus_read_gpu_word(const char **word, char **ret_owned, VgpudError *reterr)
{
        if (!*word || (*word)[0] != '/')
                return 0;

        *ret_owned = bus_path_to_gpu(*word);
        if (!*ret_owned)
                return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID, "%s is not the path of a GPU",
                                        TEXT_QUOTE(*word));

        *word = *ret_owned;

        return 0;
}

/* ---- options ---- */

static int options_read_attributes(sd_bus_message *m, const BusOption *o, GPtrArray **ret, VgpudError *reterr)
{
        g_autoptr(GPtrArray) attributes = vgpu_attributes_new();
        size_t left = BUS_MAX_ATTRIBUTE_BYTES;
        const char *name, *value;
        int r;

        r = sd_bus_message_enter_container(m, 'a', "(ss)");
        if (r < 0)
                return r;

        while ((r = sd_bus_message_read(m, "(ss)", &name, &value)) > 0) {
                size_t size = strnlen(name, left + 1) + strnlen(value, left + 1);

                if (attributes->len == o->max)
                        return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID,
                                                "option '%s' has more than %" PRIu64 " entries", o->name,
                                                o->max);
                if (size > left)
                        return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID,
                                                "option '%s' has more than %u bytes", o->name,
                                                BUS_MAX_ATTRIBUTE_BYTES);

                left -= size;
                g_ptr_array_add(attributes, vgpu_attribute_new(name, value));
        }

        if (r < 0)
                return r;

        r = sd_bus_message_exit_container(m);
        if (r < 0)
                return r;

        *ret = g_steal_pointer(&attributes);

        return 0;
}

static int options_read_strings(sd_bus_message *m, const BusOption *o, GPtrArray **ret, VgpudError *reterr)
{
        g_autoptr(GPtrArray) list = g_ptr_array_new();
        const char *text;
        int r;

        r = sd_bus_message_enter_container(m, 'a', "s");

        while (r >= 0 && (r = sd_bus_message_read_basic(m, 's', &text)) > 0) {
                if (list->len == o->max)
                        return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID,
                                                "option '%s' has more than %" PRIu64 " entries", o->name,
                                                o->max);

                g_ptr_array_add(list, (char *)text);
        }

        if (r >= 0)
                r = sd_bus_message_exit_container(m);
        if (r < 0)
                return r;

        *ret = g_steal_pointer(&list);

        return 0;
}

static int options_read_number(sd_bus_message *m, const BusOption *o, VgpudError *reterr)
{
        union {
                uint32_t u;
                uint64_t t;
        } number;
        uint64_t value;
        int r;

        g_assert(strcmp(o->signature, "u") == 0 || strcmp(o->signature, "t") == 0);

        r = sd_bus_message_read_basic(m, o->signature[0], &number);
        if (r < 0)
                return r;

        value = o->signature[0] == 'u' ? number.u : number.t;
        if ((o->min > 0 || o->max > 0) && (value < o->min || value > o->max))
                return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID,
                                        "option '%s' must be from %" PRIu64 " to %" PRIu64 ", not %" PRIu64,
                                        o->name, o->min, o->max, value);
        if (o->signature[0] == 'u')
                *(uint32_t *)o->target = number.u;
        else
                *(uint64_t *)o->target = number.t;

        return r;
}

static int options_read_value(sd_bus_message *m, const BusOption *o, VgpudError *reterr)
{
        int r;

        if (strcmp(o->signature, "a(ss)") == 0)
                return options_read_attributes(m, o, o->target, reterr);

        if (strcmp(o->signature, "as") == 0)
                return options_read_strings(m, o, o->target, reterr);

        if (strcmp(o->signature, "b") == 0) {
                int b; /* sd-bus reads a boolean as int */

                r = sd_bus_message_read_basic(m, 'b', &b);
                if (r >= 0)
                        *(bool *)o->target = b;
                return r;
        }

        if (strcmp(o->signature, "s") == 0) {
                const char *text;

                r = sd_bus_message_read_basic(m, 's', &text);
                if (r >= 0)
                        r = bus_check_text("option", o->name, text, o->max, reterr);
                if (r >= 0)
                        *(const char **)o->target = text;
                return r;
        }

        if (strcmp(o->signature, "i") == 0)
                return sd_bus_message_read_basic(m, 'i', o->target);

        return options_read_number(m, o, reterr);
}

/* Skip the value of the option error_details, which bus_error_answer() reads. */
static int options_skip_error_details(sd_bus_message *m)
{
        int b;

        return sd_bus_message_read_basic(m, 'b', &b);
}

static int options_read_variant(sd_bus_message *m, const BusOption *o, const char *key, VgpudError *reterr)
{
        const char *expected = o ? o->signature : "b", *signature;
        int r;

        r = sd_bus_message_peek_type(m, NULL, &signature);
        if (r < 0)
                return r;

        if (strcmp(signature, expected) != 0)
                return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID,
                                        "option '%s' must have the D-Bus type %s, not %s", key, expected,
                                        signature);

        r = sd_bus_message_enter_container(m, 'v', signature);
        if (r < 0)
                return r;

        r = o ? options_read_value(m, o, reterr) : options_skip_error_details(m);

        return r < 0 ? r : sd_bus_message_exit_container(m);
}

/* `seen` has one more element than `options`, for error_details. */
static int options_read_option(sd_bus_message *m, const BusOption *options, size_t n_options, bool *seen,
                               VgpudError *reterr)
{
        const char *key;
        size_t i;
        int r;

        r = sd_bus_message_read_basic(m, 's', &key);
        if (r < 0)
                return r;

        for (i = 0; i < n_options; i++)
                if (strcmp(options[i].name, key) == 0)
                        break;

        if (i == n_options && strcmp(key, BUS_OPTION_ERROR_DETAILS) != 0)
                return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID, "there is no option '%s'",
                                        TEXT_QUOTE(key));

        if (seen[i])
                return vgpud_error_setf(reterr, VGPUD_ERROR_INVALID, "option '%s' is given twice", key);

        seen[i] = true;
        if (i < n_options && options[i].given)
                *options[i].given = true;

        return options_read_variant(m, i < n_options ? &options[i] : NULL, key, reterr);
}

int bus_read_options(sd_bus_message *m, const BusOption *options, size_t n_options, VgpudError *reterr)
{
        g_autofree bool *seen = g_new0(bool, n_options + 1);
        int r;

        g_assert(options || n_options == 0);

        r = sd_bus_message_enter_container(m, 'a', "{sv}");
        if (r < 0)
                return r;

        while ((r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
                r = options_read_option(m, options, n_options, seen, reterr);
                if (r < 0)
                        return r;

                r = sd_bus_message_exit_container(m);
                if (r < 0)
                        return r;
        }

        return r < 0 ? r : sd_bus_message_exit_container(m);
}

char *bus_join_attributes(const GPtrArray *attributes)
{
        GString *s = g_string_new(NULL);

        for (guint i = 0; attributes && i < attributes->len; i++) {
                const VgpuAttribute *a = attributes->pdata[i];

                g_string_append_printf(s, "%s%s=%s", i > 0 ? "\n" : "", a->name, a->value);
        }

        return g_string_free(s, false);
}

int bus_append_text(sd_bus_message *m, const char *text)
{
        g_autofree char *valid = NULL;

        if (text && !g_utf8_validate(text, -1, NULL))
                text = valid = g_utf8_make_valid(text, -1);

        return sd_bus_message_append_basic(m, 's', text);
}

int bus_append_short_text(sd_bus_message *m, const char *text, size_t max)
{
        g_autofree char *cut = text && strnlen(text, max + 1) > max ? bus_error_cut(text, max) : NULL;

        return bus_append_text(m, cut ? cut : text);
}

int bus_append_number(sd_bus_message *m, char type, uint64_t value)
{
        union {
                uint16_t q;
                uint32_t u;
                int32_t i;
                int b; /* sd-bus takes a boolean as int */
        } narrow;

        switch (type) {
        case 't':
                return sd_bus_message_append_basic(m, type, &value);
        case 'q':
                narrow.q = (uint16_t)value;
                break;
        case 'u':
                narrow.u = (uint32_t)value;
                break;
        case 'i':
                narrow.i = (int32_t)value;
                break;
        case 'b':
                narrow.b = value != 0;
                break;
        default:
                g_assert_not_reached();
        }

        return sd_bus_message_append_basic(m, type, &narrow);
}

int bus_open_entry(sd_bus_message *m, const char *key, const char *signature)
{
        int r;

        g_assert(key && key[0]);
        g_assert(signature && signature[0]);

        r = sd_bus_message_open_container(m, 'e', "sv");
        if (r >= 0)
                r = sd_bus_message_append_basic(m, 's', key);
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'v', signature);

        return r;
}

int bus_close_entry(sd_bus_message *m)
{
        int r;

        r = sd_bus_message_close_container(m);
        if (r >= 0)
                r = sd_bus_message_close_container(m);

        return r;
}

int bus_append_entry(sd_bus_message *m, const char *key, const char *signature, ...)
{
        va_list ap;
        int r;

        r = bus_open_entry(m, key, signature);
        if (r < 0)
                return r;

        va_start(ap, signature);
        r = sd_bus_message_appendv(m, signature, ap);
        va_end(ap);

        return r < 0 ? r : bus_close_entry(m);
}

int bus_append_entry_string(sd_bus_message *m, const char *key, const char *value)
{
        int r;

        if (!value)
                return 0;

        r = bus_open_entry(m, key, "s");
        if (r >= 0)
                r = bus_append_text(m, value);

        return r < 0 ? r : bus_close_entry(m);
}

int bus_append_entry_u32(sd_bus_message *m, const char *key, uint32_t value)
{
        return value > 0 ? bus_append_entry(m, key, "u", value) : 0;
}

int bus_append_entry_u64(sd_bus_message *m, const char *key, uint64_t value)
{
        return value > 0 ? bus_append_entry(m, key, "t", value) : 0;
}

int bus_append_strings(sd_bus_message *m, char *const *list)
{
        int r;

        r = sd_bus_message_open_container(m, 'a', "s");

        for (char *const *p = list; r >= 0 && p && *p; p++)
                r = bus_append_text(m, *p);

        return r < 0 ? r : sd_bus_message_close_container(m);
}

int bus_append_entry_strings(sd_bus_message *m, const char *key, char *const *list)
{
        int r;

        if (!list)
                return 0;

        r = bus_open_entry(m, key, "as");
        if (r >= 0)
                r = bus_append_strings(m, list);

        return r < 0 ? r : bus_close_entry(m);
}

int bus_append_instance_paths(sd_bus_message *m, const GPtrArray *uuids, size_t max)
{
        int r;

        r = sd_bus_message_open_container(m, 'a', "o");

        for (guint i = 0; r >= 0 && uuids && i < uuids->len && i < max; i++) {
                g_autofree char *path = bus_path_instance(uuids->pdata[i]);

                r = sd_bus_message_append_basic(m, 'o', path);
        }

        return r < 0 ? r : sd_bus_message_close_container(m);
}

/* ---- tables ---- */

static int table_open_column(sd_bus_message *m, const char *name, const char *signature)
{
        g_autofree char *array = g_strconcat("a", signature, NULL);
        int r;

        r = bus_open_entry(m, name, array);

        return r < 0 ? r : sd_bus_message_open_container(m, 'a', signature);
}

static int table_close_column(sd_bus_message *m)
{
        int r;

        r = sd_bus_message_close_container(m);

        return r < 0 ? r : bus_close_entry(m);
}

static bool table_has_column(const GPtrArray *columns, const char *name)
{
        for (guint i = 0; columns && i < columns->len; i++)
                if (strcmp(columns->pdata[i], name) == 0)
                        return true;

        return !columns;
}

size_t bus_select_columns(const BusColumn *columns, size_t n, const GPtrArray *names, BusColumn *ret)
{
        size_t n_selected = 0;

        for (size_t c = 0; c < n; c++)
                if (table_has_column(names, columns[c].name))
                        ret[n_selected++] = columns[c];

        return n_selected;
}

int bus_append_table(sd_bus_message *m, const BusColumn *columns, size_t n, const GPtrArray *rows)
{
        int r;

        g_assert(columns || n == 0);

        r = sd_bus_message_open_container(m, 'a', "{sv}");

        for (size_t c = 0; r >= 0 && c < n; c++) {
                r = table_open_column(m, columns[c].name, columns[c].signature);
                for (guint i = 0; r >= 0 && i < rows->len; i++)
                        r = columns[c].append(m, rows->pdata[i]);
                if (r >= 0)
                        r = table_close_column(m);
        }

        return r < 0 ? r : sd_bus_message_close_container(m);
}

char *bus_snake_case(const char *property)
{
        GString *s = g_string_new(NULL);

        for (const char *p = property; *p; p++) {
                if (g_ascii_isupper(*p) && p > property)
                        g_string_append_c(s, '_');
                g_string_append_c(s, g_ascii_tolower(*p));
        }

        return g_string_free(s, false);
}

static int table_append_paths(sd_bus_message *m, char *(*path_of)(const void *object), const GPtrArray *objects)
{
        int r;

        r = table_open_column(m, "object_path", "o");

        for (guint i = 0; r >= 0 && i < objects->len; i++) {
                g_autofree char *path = path_of(objects->pdata[i]);

                r = sd_bus_message_append_basic(m, 'o', path);
        }

        return r < 0 ? r : table_close_column(m);
}

static int table_append_property(sd_bus_message *m, const sd_bus_vtable *v, const GPtrArray *objects,
                                 const GPtrArray *columns)
{
        g_autofree char *name = bus_snake_case(v->x.property.member);
        int r;

        if (!table_has_column(columns, name))
                return 0;

        r = table_open_column(m, name, v->x.property.signature);

        for (guint i = 0; r >= 0 && i < objects->len; i++)
                r = v->x.property.get(NULL, NULL, NULL, NULL, m, objects->pdata[i], NULL);

        return r < 0 ? r : table_close_column(m);
}

int bus_append_object_table(sd_bus_message *m, const sd_bus_vtable *vtable, const char *const *except,
                            char *(*path_of)(const void *object), const GPtrArray *objects,
                            const GPtrArray *columns)
{
        int r;

        r = sd_bus_message_open_container(m, 'a', "{sv}");
        if (r >= 0 && table_has_column(columns, "object_path"))
                r = table_append_paths(m, path_of, objects);
        for (const sd_bus_vtable *v = vtable; r >= 0 && v->type != _SD_BUS_VTABLE_END; v++)
                if (v->type == _SD_BUS_VTABLE_PROPERTY && !g_strv_contains(except, v->x.property.member))
                        r = table_append_property(m, v, objects, columns);

        return r < 0 ? r : sd_bus_message_close_container(m);
}

/* ---- properties ---- */

char **bus_changed_properties(const BusChange *table, size_t n, unsigned changes)
{
        char **names = g_new0(char *, n + 1);
        size_t n_names = 0;

        g_assert(changes != 0);

        for (size_t i = 0; i < n; i++)
                if (changes & table[i].bits)
                        names[n_names++] = (char *)table[i].property;

        return names;
}
