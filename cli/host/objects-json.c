/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "cli/host/objects-json.h"

#include "cli/host/fields.h"
#include "cli/host/find.h"
#include "cli/host/type-table.h"
#include "cli/output/errors.h"

void json_strings(Json *j, const char *key, char *const *list)
{
        json_array(j, key);
        for (; list && *list; list++)
                json_string(j, NULL, *list);
        json_array_end(j);
}

void json_number(Json *j, const char *key, int64_t value)
{
        if (value < 0)
                json_null(j, key);
        else
                json_i64(j, key, value);
}

static void json_pairs(Json *j, const char *key, const GPtrArray *pairs, const char *text_key)
{
        json_array(j, key);
        for (unsigned i = 0; i < pairs->len; i++) {
                const PairInfo *pair = pairs->pdata[i];

                json_object(j, NULL);
                json_string(j, "name", pair->name);
                json_string(j, text_key, pair->text);
                json_object_end(j);
        }

        json_array_end(j);
}

void json_modes(Json *j, const char *key, const GPtrArray *modes)
{
        json_array(j, key);
        for (unsigned i = 0; i < modes->len; i++) {
                const ModeInfo *mode = modes->pdata[i];

                json_object(j, NULL);
                json_string(j, "name", mode->name);
                json_string(j, "value", mode->value);

                if (mode->choices)
                        json_strings(j, "choices", mode->choices);
                else
                        json_null(j, "choices");

                json_string(j, "help", mode->help);
                json_object_end(j);
        }

        json_array_end(j);
}

void json_vfs(Json *j, const char *key, const GpuInfo *gpu)
{
        json_array(j, key);
        for (unsigned i = 0; i < gpu->vfs->len; i++) {
                const VfInfo *vf = gpu->vfs->pdata[i];
                g_autofree char *uuid = uuid_from_path(vf->instance);

                json_object(j, NULL);
                json_u64(j, "index", vf->index);
                json_string(j, "name", vf->name);
                json_string(j, "instance", uuid);
                json_string(j, "driver", *vf->driver ? vf->driver : NULL);
                json_string(j, "driver_override", *vf->driver_override ? vf->driver_override : NULL);
                json_string(j, "state", *vf->state ? vf->state : NULL);
                json_object_end(j);
        }

        json_array_end(j);
}

static void json_details(Json *j, const char *key, const JobDetails *d)
{
        json_object(j, key);
        if (d->type)
                json_string(j, "type", d->type);
        if (d->count >= 0)
                json_i64(j, "count", d->count);
        if (d->mode)
                json_string(j, "mode", d->mode);
        if (d->value)
                json_string(j, "value", d->value);
        if (d->foreign >= 0)
                json_bool(j, "foreign", d->foreign);
        json_object_end(j);
}

static void json_path(Json *j, const Field *f, const char *path)
{
        if (f->flags & IS_JOB) {
                uint32_t id = job_id_from_path(path);

                json_number(j, f->key, id == 0 ? -1 : (int64_t)id);
        } else {
                g_autofree char *name = gpu_name_from_path(path);

                json_string(j, f->key, *name ? name : NULL);
        }
}

static void json_list_field(Json *j, const Field *f, char *const *list)
{
        json_array(j, f->key);
        for (; *list; list++) {
                g_autofree char *uuid = f->flags & IS_INSTANCES ? uuid_from_path(*list) : NULL;

                json_string(j, NULL, f->flags & IS_INSTANCES ? uuid : *list);
        }

        json_array_end(j);
}

static void json_number_field(Json *j, const Field *f, const void *object)
{
        uint64_t value = 0, max = f->signature[0] == 't' ? UINT64_MAX : UINT32_MAX;

        if (f->flags & IS_NUMBER) {
                json_number(j, f->key, *AT_CONST(int64_t, object, f));
                return;
        }

        switch (f->signature[0]) {
        case 'b':
                json_bool(j, f->key, *AT_CONST(bool, object, f));
                return;
        case 'i':
                json_number(j, f->key, *AT_CONST(int32_t, object, f));
                return;
        case 'q':
                value = *AT_CONST(uint16_t, object, f);
                break;
        case 'u':
                value = *AT_CONST(uint32_t, object, f);
                break;
        case 't':
                value = *AT_CONST(uint64_t, object, f);
                break;
        default:
                g_assert_not_reached();
        }

        if (((f->flags & NULL_IF_ZERO) && value == 0) || ((f->flags & NULL_IF_MAX) && value == max))
                json_null(j, f->key);
        else if (f->flags & (IS_HEX4 | IS_HEX6)) {
                g_autofree char *text =
                                g_strdup_printf(f->flags & IS_HEX4 ? "0x%04x" : "0x%06x", (unsigned)value);

                json_string(j, f->key, text);
        } else
                json_u64(j, f->key, value);
}

static void json_field(Json *j, const Field *f, const void *object)
{
        const char *text;

        switch (field_form(f)) {
        case FORM_TEXT:
                text = *AT_CONST(char *, object, f);
                if (f->flags & (IS_JOB | IS_GPU))
                        json_path(j, f, text);
                else
                        json_string(j, f->key, (f->flags & NULL_IF_EMPTY) && !*text ? NULL : text);

                break;
        case FORM_LIST:
                json_list_field(j, f, *AT_CONST(char **, object, f));
                break;
        case FORM_NUMBER:
                json_number_field(j, f, object);
                break;
        case FORM_PAIRS:
                json_pairs(j, f->key, *AT_CONST(GPtrArray *, object, f),
                           strcmp(f->key, "options") == 0 ? "help" : "value");
                break;
        case FORM_MODES:
                json_modes(j, f->key, *AT_CONST(GPtrArray *, object, f));
                break;
        case FORM_DETAILS:
                json_details(j, f->key, AT_CONST(JobDetails, object, f));
                break;
        case FORM_FAILURES:
                json_failures(j, f->key, *AT_CONST(GPtrArray *, object, f));
                break;
        default:
                g_assert_not_reached();
        }
}

/* ---- types ---- */

void json_type_info(Json *j, const char *key, const TypeInfo *t, const GpuInfo *gpu)
{
        json_object(j, key);
        json_string(j, "gpu", gpu->name);
        json_bool(j, "stale", gpu->stale);

        for (size_t i = 0; i < type_fields.n_fields; i++) {
                json_field(j, &type_fields.fields[i], t);
                if (strcmp(type_fields.fields[i].key, "aliases") != 0)
                        continue;

                json_number(j, "available", t->available);
                json_string(j, "why_not", t->why_not);
                json_string(j, "hint", t->hint);
                json_string(j, "hint_id", t->hint_id);
        }

        json_object_end(j);
}

void json_types(Json *j, const char *key, const GpuInfo *gpu)
{
        json_array(j, key);
        for (unsigned i = 0; i < gpu->types->len; i++)
                json_type_info(j, NULL, gpu_type(gpu, i), gpu);
        json_array_end(j);
}

void json_all_types(Json *j, const char *key, const Host *h)
{
        json_array(j, key);
        for (unsigned i = 0; i < host_n(h, OBJECT_GPU); i++)
                for (unsigned n = 0; n < host_gpu(h, i)->types->len; n++)
                        json_type_info(j, NULL, gpu_type(host_gpu(h, i), n), host_gpu(h, i));

        json_array_end(j);
}

/* ---- objects ---- */

void json_object_members(Json *j, ObjectKind kind, const void *object, bool full)
{
        g_assert(kind >= 0 && kind < _OBJECT_KIND_MAX);

        for (size_t i = 0; i < object_kinds[kind].table.n_fields; i++) {
                const Field *f = &object_kinds[kind].table.fields[i];

                if (full || !(f->flags & ONLY_FULL))
                        json_field(j, f, object);
        }

        if (full && kind == OBJECT_GPU) {
                json_types(j, "types", object);
                json_vfs(j, "vfs", object);
        }
}

void json_object_info(Json *j, const char *key, ObjectKind kind, const void *object, bool full)
{
        json_object(j, key);
        json_object_members(j, kind, object, full);
        json_object_end(j);
}

bool json_object_member(Json *j, ObjectKind kind, const void *object, const char *key)
{
        const Field *f = field_find(&object_kinds[kind].table, key);

        g_assert(kind >= 0 && kind < _OBJECT_KIND_MAX);

        if (!f)
                return false;

        json_field(j, f, object);

        return true;
}

void json_objects(Json *j, const char *key, const Host *h, ObjectKind kind)
{
        g_assert(kind >= 0 && kind < _OBJECT_KIND_MAX);

        json_array(j, key);

        for (unsigned i = 0; i < host_n(h, kind); i++)
                json_object_info(j, NULL, kind, g_ptr_array_index(h->objects[kind], i), false);
        json_array_end(j);
}

int print_objects_json(const char *key, const Host *h, ObjectKind kind)
{
        Json j = json_new(false);

        json_object(&j, NULL);
        json_objects(&j, key, h, kind);
        json_object_end(&j);
        json_print(&j, stdout);

        return 0;
}

char *object_value_text(ObjectKind kind, const void *object, const char *key)
{
        const Field *f = field_find(&object_kinds[kind].table, key);
        Json j;

        g_assert(kind >= 0 && kind < _OBJECT_KIND_MAX);

        g_assert(f);

        if (field_form(f) == FORM_TEXT && !(f->flags & (IS_JOB | IS_GPU)))
                return g_strdup(**AT_CONST(char *, object, f) ? *AT_CONST(char *, object, f) : "none");

        j = json_new(true);
        json_field(&j, f, object);
        g_string_erase(j.text, 0, (gssize)(strlen(key) + strlen("\"\":")));

        if (strcmp(j.text->str, "null") == 0)
                g_string_assign(j.text, "none");

        return g_string_free(j.text, false);
}
