/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Objects as JSON. */

#include "cli/host/host-json.h"

#include "cli/host/fields.h"
#include "cli/host/host-find.h"
#include "cli/host/host-values.h"
#include "cli/output/json.h"

static void json_strings(Json *j, const char *key, char *const *list)
{
        json_array(j, key);
        for (; list && *list; list++)
                json_string(j, NULL, *list);
        json_array_end(j);
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

static void json_vfs(Json *j, const char *key, const GPtrArray *vfs)
{
        json_array(j, key);
        for (unsigned i = 0; i < vfs->len; i++) {
                const VfInfo *vf = vfs->pdata[i];
                g_autofree char *uuid = uuid_from_path(vf->instance);

                json_object(j, NULL);
                json_u64(j, "index", vf->index);
                json_string(j, "name", vf->name);
                json_string(j, "instance", uuid);
                json_string(j, "driver", *vf->driver ? vf->driver : NULL);
                json_string(j, "driver_override", *vf->override ? vf->override : NULL);
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

void json_type_info(Json *j, const char *key, const TypeInfo *t, const GpuInfo *gpu)
{
        json_object(j, key);
        if (gpu) {
                json_string(j, "gpu", gpu->name);
                json_bool(j, "stale", gpu->stale);
        }

        json_string(j, "id", t->id);
        for (size_t i = 0; i < type_values.n_fields; i++) {
                const Field *f = &type_values.fields[i];
                const char *text;

                if (is_list(f)) {
                        json_strings(j, f->key, *AT_CONST(char **, t, f));
                } else if (field_rows(f)) {
                        json_pairs(j, f->key, *AT_CONST(GPtrArray *, t, f), "help");
                } else if (is_text(f)) {
                        text = *AT_CONST(char *, t, f);
                        json_string(j, f->key, text && *text ? text : NULL);
                } else
                        json_bool(j, f->key, *AT_CONST(bool, t, f));
        }

        for (size_t i = 0; i < type_numbers.n_fields; i++) {
                const Field *f = &type_numbers.fields[i];
                int64_t value = *AT_CONST(int64_t, t, f);

                if (value < 0)
                        json_null(j, f->key);
                else
                        json_i64(j, f->key, value);
        }

        json_object_end(j);
}

static void json_hand_over(Json *j, const char *key, const HandOver *o)
{
        json_object(j, key);
        json_string(j, "sysfs_path", o->sysfs_path);

        if (o->iommu_group < 0)
                json_null(j, "iommu_group");
        else
                json_i64(j, "iommu_group", o->iommu_group);

        json_string(j, "group_node", o->group_node);
        json_string(j, "cdev_node", o->cdev_node);
        json_string(j, "libvirt_xml", o->libvirt_xml);
        json_strings(j, "qemu_args", o->qemu_args);
        json_object_end(j);
}

static void json_number(Json *j, const Field *f, uint64_t value)
{
        if (((f->flags & NULL_IF_ZERO) && value == 0) || ((f->flags & NULL_IF_MAX) && value == UINT32_MAX))
                json_null(j, f->key);
        else
                json_u64(j, f->key, value);
}

static void json_field(Json *j, const Field *f, const void *object)
{
        if (f->flags & IS_JOB) {
                uint32_t id = job_id_from_path(*AT_CONST(char *, object, f));

                if (id == 0)
                        json_null(j, f->key);
                else
                        json_u64(j, f->key, id);
        } else if (f->flags & IS_GPU) {
                json_string(j, f->key, ((const InstanceInfo *)object)->gpu_name);
        } else if (f->flags & IS_INSTANCES) {
                json_array(j, f->key);
                for (char **p = *AT_CONST(char **, object, f); *p; p++) {
                        g_autofree char *uuid = uuid_from_path(*p);

                        json_string(j, NULL, uuid);
                }

                json_array_end(j);
        } else if (is_text(f)) {
                const char *text = *AT_CONST(char *, object, f);

                json_string(j, f->key, (f->flags & NULL_IF_EMPTY) && !*text ? NULL : text);
        } else if (is_list(f)) {
                json_strings(j, f->key, *AT_CONST(char **, object, f));
        } else if (f->flags & IS_MODES) {
                json_modes(j, f->key, *AT_CONST(GPtrArray *, object, f));
        } else if (strcmp(f->signature, "a(usoss)") == 0) {
                json_vfs(j, f->key, *AT_CONST(GPtrArray *, object, f));
        } else if (strcmp(f->signature, "a{ss}") == 0) {
                json_pairs(j, f->key, *AT_CONST(GPtrArray *, object, f), "value");
        } else if ((f->flags & NULL_UNLESS_VFS) && strcmp(((const JobInfo *)object)->kind, "set-vfs") != 0) {
                json_null(j, f->key);
        } else if (strcmp(f->signature, "a{sa{sv}}") == 0) {
                const GPtrArray *types = *AT_CONST(GPtrArray *, object, f);

                json_array(j, f->key);

                for (unsigned i = 0; i < types->len; i++)
                        json_type_info(j, NULL, types->pdata[i], NULL);
                json_array_end(j);
        } else if (strcmp(f->signature, "a{sv}") == 0) {
                json_hand_over(j, f->key, AT_CONST(HandOver, object, f));
        } else if (f->signature[0] == 'b') {
                json_bool(j, f->key, *AT_CONST(bool, object, f));
        } else if (f->signature[0] == 'q') {
                json_number(j, f, *AT_CONST(uint16_t, object, f));
        } else if (f->signature[0] == 'u') {
                json_number(j, f, *AT_CONST(uint32_t, object, f));
        } else if (f->signature[0] == 't') {
                json_number(j, f, *AT_CONST(uint64_t, object, f));
        } else {
                int32_t value = *AT_CONST(int32_t, object, f);

                if (value < 0)
                        json_null(j, f->key);
                else
                        json_i64(j, f->key, value);
        }
}

void json_object_info(Json *j, const char *key, ObjectKind kind, const void *object)
{
        json_object(j, key);
        json_string(j, "object_path", *(char *const *)object);

        for (size_t i = 0; i < object_kinds[kind].table.n_fields; i++)
                json_field(j, &object_kinds[kind].table.fields[i], object);
        json_object_end(j);
}

void json_objects(Json *j, const char *key, const Host *h, ObjectKind kind)
{
        json_array(j, key);
        for (unsigned i = 0; i < host_n(h, kind); i++)
                json_object_info(j, NULL, kind, g_ptr_array_index(h->objects[kind], i));
        json_array_end(j);
}

char *object_value_text(ObjectKind kind, const void *object, const char *key)
{
        for (size_t i = 0; i < object_kinds[kind].table.n_fields; i++) {
                const Field *f = &object_kinds[kind].table.fields[i];
                size_t n = strlen(key) + strlen("\"\":");
                Json j;

                if (strcmp(f->key, key) != 0)
                        continue;

                if (is_text(f) && !(f->flags & (IS_JOB | IS_GPU)))
                        return g_strdup(**AT_CONST(char *, object, f) ? *AT_CONST(char *, object, f) : "none");

                j = json_new(true);
                json_field(&j, f, object);
                g_string_erase(j.text, 0, (gssize)n);

                if (strcmp(j.text->str, "null") == 0)
                        g_string_assign(j.text, "none");
                return g_string_free(j.text, false);
        }

        return g_strdup("?");
}

int print_objects_json(const char *key, const Host *h, ObjectKind kind, const char *gpu_path)
{
        Json j = json_new(false);

        json_object(&j, NULL);
        json_array(&j, key);

        for (unsigned i = 0; i < host_n(h, kind); i++) {
                void *object = g_ptr_array_index(h->objects[kind], i);

                if (!gpu_path || strcmp(((const InstanceInfo *)object)->gpu, gpu_path) == 0)
                        json_object_info(&j, NULL, kind, object);
        }

        json_array_end(&j);
        json_object_end(&j);
        json_print(&j, stdout);

        return 0;
}
