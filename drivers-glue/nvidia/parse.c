/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "drivers-glue/nvidia/parse.h"

#include <string.h>

#include "base/parse-util.h"

#define PREFIX "nvidia-"

static void nvidia_listed_free(gpointer p)
{
        NvidiaListed *l = p;

        g_free(l->name);
        g_free(l);
}

static bool nvidia_list_contains(const GPtrArray *list, uint32_t id)
{
        for (guint i = 0; i < list->len; i++)
                if (((const NvidiaListed *)list->pdata[i])->id == id)
                        return true;

        return false;
}

static char *nvidia_clean_name(const char *text)
{
        char *name = g_utf8_make_valid(text, -1);

        for (char *c = name; *c; c++)
                if (g_ascii_iscntrl(*c))
                        *c = '?';

        return name;
}

GPtrArray *nvidia_parse_creatable(const char *text)
{
        GPtrArray *list = g_ptr_array_new_with_free_func(nvidia_listed_free);
        g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

        for (char **l = lines; *l && list->len < NVIDIA_LISTED_MAX; l++) {
                char *colon = strchr(*l, ':');
                uint32_t id;

                if (!colon)
                        continue;

                *colon = 0;
                const char *number = g_strstrip(*l), *name = g_strstrip(colon + 1);
                if (parse_u32(number, 10, &id) < 0 || id == 0 || !name[0] || nvidia_list_contains(list, id))
                        continue;

                NvidiaListed *n = g_new(NvidiaListed, 1);
                *n = (NvidiaListed){ .id = id, .name = nvidia_clean_name(name) };
                g_ptr_array_add(list, n);
        }

        g_assert(list->len <= NVIDIA_LISTED_MAX);

        return list;
}

int nvidia_parse_current(const char *text, uint32_t *ret)
{
        g_autofree char *number = g_strstrip(g_strdup(text));

        return parse_u32(number, 10, ret) < 0 ? -EBADMSG : 0;
}

char *nvidia_type_id(uint32_t id)
{
        g_assert(id > 0);

        return g_strdup_printf(PREFIX "%u", id);
}

int nvidia_type_id_parse(const char *type_id, uint32_t *ret)
{
        uint32_t id;
        int r;

        if (!g_str_has_prefix(type_id, PREFIX))
                return -EINVAL;

        r = parse_u32(type_id + strlen(PREFIX), 10, &id);
        if (r < 0)
                return r;

        if (id == 0 || type_id[strlen(PREFIX)] == '0')
                return -EINVAL;

        *ret = id;

        return 0;
}

VgpuTypeOption *nvidia_params_option(void)
{
        VgpuTypeOption *o = vgpu_type_option_new(
                        NVIDIA_PARAMS,
                        "NVIDIA's parameters of a vGPU: KEY=VALUE, separated by commas; used by VMs that start later");

        o->alias = g_strdup(NVIDIA_PARAMS_FILE);

        return o;
}

bool nvidia_params_is_name(const char *name)
{
        return strcmp(name, NVIDIA_PARAMS) == 0 || strcmp(name, NVIDIA_PARAMS_FILE) == 0;
}
