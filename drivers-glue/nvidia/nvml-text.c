/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "drivers-glue/nvidia/nvml-text.h"

#include <string.h>

#include "base/parse-util.h"

static void nvml_type_free(gpointer p)
{
        NvmlType *t = p;

        g_free(t->name);
        g_free(t->class);
        g_free(t);
}

NvmlAnswer *nvml_answer_free(NvmlAnswer *a)
{
        if (!a)
                return NULL;

        g_ptr_array_unref(a->types);
        g_array_unref(a->creatable);
        g_array_unref(a->gpu_instances);
        g_free(a);

        return NULL;
}

bool nvml_answer_knows_vgpus(const NvmlAnswer *a)
{
        return a->types->len > 0 || a->host_vgpu_mode >= 0 ||
               a->virtualization_mode == NVML_VIRTUALIZATION_MODE_HOST;
}

const NvmlType *nvml_answer_find_type(const NvmlAnswer *a, uint32_t id)
{
        for (guint i = 0; i < a->types->len; i++) {
                const NvmlType *t = a->types->pdata[i];

                if (t->id == id)
                        return t;
        }

        return NULL;
}

bool nvml_answer_count_gpu_instances(const NvmlAnswer *a, uint32_t profile, uint32_t *ret)
{
        for (guint i = 0; i < a->gpu_instances->len; i++) {
                const NvmlGpuInstances *g = &g_array_index(a->gpu_instances, NvmlGpuInstances, i);

                if (g->profile == profile) {
                        *ret = g->count;
                        return true;
                }
        }

        return false;
}

static int answer_parse_small(const char *value, uint32_t max, int *ret)
{
        uint32_t v;
        int r = parse_u32(value, 10, &v);

        if (r < 0)
                return r;

        if (v > max)
                return -ERANGE;

        *ret = (int)v;

        return 0;
}

static int answer_parse_name(const char *value, char **ret)
{
        if (!value[0] || !g_utf8_validate(value, -1, NULL))
                return -EINVAL;

        g_free(*ret);
        *ret = g_strdup(value);

        return 0;
}

/* Rejects a second line for the same id. */
static int answer_add_type(NvmlAnswer *a, const char *value)
{
        uint32_t id;
        int r = parse_u32(value, 10, &id);

        if (r < 0)
                return r;

        g_assert(a->types->len <= NVML_TYPES_MAX);

        if (a->types->len == NVML_TYPES_MAX || nvml_answer_find_type(a, id))
                return -EINVAL;

        NvmlType *t = g_new0(NvmlType, 1);
        t->id = id;
        g_ptr_array_add(a->types, t);

        return 0;
}

static int answer_add_creatable(NvmlAnswer *a, const char *value)
{
        uint32_t id;
        int r = parse_u32(value, 10, &id);

        if (r < 0)
                return r;

        if (a->creatable->len == NVML_TYPES_MAX)
                return -EINVAL;

        g_array_append_val(a->creatable, id);

        return 0;
}

static int answer_add_gpu_instances(NvmlAnswer *a, const char *value)
{
        g_auto(GStrv) words = g_strsplit(value, ":", 3);
        NvmlGpuInstances g;

        if (g_strv_length(words) != 2 || parse_u32(words[0], 10, &g.profile) < 0 ||
            parse_u32(words[1], 10, &g.count) < 0 || a->gpu_instances->len == NVML_TYPES_MAX)
                return -EINVAL;

        g_array_append_val(a->gpu_instances, g);

        return 0;
}

static int answer_parse_type_item(NvmlType *t, const char *key, const char *value)
{
        if (strcmp(key, "name") == 0)
                return answer_parse_name(value, &t->name);
        if (strcmp(key, "class") == 0)
                return answer_parse_name(value, &t->class);
        if (strcmp(key, "framebuffer") == 0)
                return parse_u64(value, 10, &t->framebuffer_bytes);
        if (strcmp(key, "heads") == 0)
                return parse_u32(value, 10, &t->heads);
        if (strcmp(key, "resolution") == 0)
                return parse_resolution(value, &t->max_x, &t->max_y);
        if (strcmp(key, "frame-rate-limit") == 0)
                return parse_u32(value, 10, &t->frame_rate_limit);
        if (strcmp(key, "max-instances") == 0)
                return parse_u32(value, 10, &t->max_instances);

        if (strcmp(key, "gpu-instance-profile") == 0) {
                int r = parse_u32(value, 10, &t->profile);

                t->mig = r >= 0;
                return r;
        }

        if (strcmp(key, "max-per-gpu-instance") == 0)
                return parse_u32(value, 10, &t->max_per_gpu_instance);

        return 0;
}

static int answer_parse_item(NvmlAnswer *a, const char *key, const char *value)
{
        if (strcmp(key, "virtualization-mode") == 0)
                return answer_parse_small(value, INT32_MAX, &a->virtualization_mode);
        if (strcmp(key, "host-vgpu-mode") == 0)
                return answer_parse_small(value, INT32_MAX, &a->host_vgpu_mode);
        if (strcmp(key, "heterogeneous") == 0)
                return answer_parse_small(value, 1, &a->heterogeneous);
        if (strcmp(key, "mig") == 0)
                return answer_parse_small(value, 1, &a->mig);
        if (strcmp(key, "mig-pending") == 0)
                return answer_parse_small(value, 1, &a->mig_pending);
        if (strcmp(key, "minor") == 0)
                return answer_parse_small(value, INT32_MAX, &a->minor);
        if (strcmp(key, "framebuffer") == 0)
                return parse_u64(value, 10, &a->framebuffer_bytes);
        if (strcmp(key, "creatable") == 0)
                return answer_add_creatable(a, value);
        if (strcmp(key, "gpu-instances") == 0)
                return answer_add_gpu_instances(a, value);
        if (strcmp(key, "type") == 0)
                return answer_add_type(a, value);

        if (g_str_has_prefix(key, "type.")) {
                if (a->types->len == 0)
                        return -EINVAL;

                return answer_parse_type_item(a->types->pdata[a->types->len - 1], key + strlen("type."), value);
        }

        return 0;
}

int nvml_answer_parse(const char *text, NvmlAnswer **ret)
{
        _cleanup_(nvml_answer_freep) NvmlAnswer *a = g_new(NvmlAnswer, 1);
        g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

        g_assert(!*ret);

        *a = (NvmlAnswer){
                .virtualization_mode = -1,
                .host_vgpu_mode = -1,
                .heterogeneous = -1,
                .mig = -1,
                .mig_pending = -1,
                .minor = -1,
                .types = g_ptr_array_new_with_free_func(nvml_type_free),
                .creatable = g_array_new(FALSE, FALSE, sizeof(uint32_t)),
                .gpu_instances = g_array_new(FALSE, FALSE, sizeof(NvmlGpuInstances)),
        };

        for (char **l = lines; *l; l++) {
                char *equals = strchr(*l, '=');

                if (strcmp(*l, "end") == 0) {
                        /* Exactly one newline must follow. */
                        if (!l[1] || l[1][0] || l[2])
                                return -EINVAL;

                        *ret = g_steal_pointer(&a);
                        return 0;
                }

                if (!equals || equals == *l)
                        return -EINVAL;

                *equals = 0;
                if (answer_parse_item(a, *l, equals + 1) < 0)
                        return -EINVAL;
        }

        return -EINVAL;
}
