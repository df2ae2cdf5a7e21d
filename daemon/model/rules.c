/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "daemon/model/rules.h"

#include <string.h>

#include "base/log-ids.h"
#include "base/log.h"
#include "base/pci-addr.h"
#include "base/text.h"
#include "base/thread.h"
#include "daemon/model/gpu.h"
#include "daemon/model/model.h"
#include "drivers-glue/type-find.h"

#define RULES_HINT "change the rules of the GPU in vgpud.conf"
/* Limits of rules_find_unmatched(): the number of sections, and the bytes of each text. */
#define RULES_UNMATCHED_MAX   100U
#define RULES_UNMATCHED_BYTES 512U

void rules_fill(const Config *config, PlacementCandidate *candidate)
{
        ConfigGpu rules = config_find_gpu(config, candidate->gpu);

        candidate->pools = (const char *const *)rules.pools;
        candidate->allow = (const char *const *)rules.allow;
        candidate->forbid = (const char *const *)rules.forbid;
        candidate->spare = rules.spare >= 0 ? (uint32_t)rules.spare : 0;
        candidate->priority = rules.priority != CONFIG_PRIORITY_NOT_SAID ? (int32_t)rules.priority : 0;
}

bool rules_need_type_names(const PlacementCandidate *candidate)
{
        return (candidate->allow && candidate->allow[0]) || (candidate->forbid && candidate->forbid[0]);
}

char **rules_type_names(const VgpuType *type)
{
        g_auto(GStrv) aliases = vgpu_type_aliases(type);
        g_autoptr(GStrvBuilder) names = g_strv_builder_new();

        g_strv_builder_add(names, type->id);
        g_strv_builder_addv(names, (const char **)aliases);
        if (type->key)
                g_strv_builder_add(names, type->key);

        return g_strv_builder_end(names);
}

/* The reason why the rules exclude the type, newly allocated; NULL: they allow it. */
static char *rules_refuse_type(PlacementCandidate *rules, const VgpuType *type)
{
        g_auto(GStrv) names = NULL;
        char *reason;

        if (!rules_need_type_names(rules))
                return NULL;

        names = rules_type_names(type);
        rules->type_names = (const char *const *)names;

        (void)placement_check_type(rules, &reason);

        return reason;
}

int rules_check_type(const Gpu *gpu, const VgpuType *type, VgpudError *reterr)
{
        PlacementCandidate rules = { .gpu = gpu_name(gpu) };
        g_autofree char *reason = NULL;
        int r;

        assert_main_thread();

        rules_fill(gpu->model->config, &rules);

        reason = rules_refuse_type(&rules, type);
        if (!reason)
                return 0;

        r = vgpud_error_setf(reterr, VGPUD_ERROR_UNSUPPORTED, "the rules of GPU %s do not allow type %s: %s",
                             gpu_name(gpu), type->id, reason);
        vgpud_error_hintf(reterr, VGPUD_HINT_CHANGE_CONFIG, RULES_HINT);

        return r;
}

bool rules_take_bound(const Gpu *gpu)
{
        assert_main_thread();

        return config_find_gpu(gpu->model->config, gpu_name(gpu)).take_bound > 0;
}

void rules_apply(const Gpu *gpu, GpuSnapshot *snapshot)
{
        PlacementCandidate rules = { .gpu = gpu_name(gpu) };

        assert_main_thread();

        rules_fill(gpu->model->config, &rules);

        for (guint i = 0; i < snapshot->types->len; i++) {
                VgpuType *t = snapshot->types->pdata[i];
                char *reason = rules_refuse_type(&rules, t);

                if (!reason)
                        continue;

                t->available = 0;
                g_free(t->why_not);
                t->why_not = reason;
                vgpud_hint_setf(&t->hint, VGPUD_HINT_CHANGE_CONFIG, RULES_HINT);
        }
}

/* ---- sections without a GPU ---- */

/* True if the pattern matches every name: such a section is no mistake even if the host has no GPU. */
static bool rules_section_is_general(const ConfigGpu *section)
{
        return section->pattern[strspn(section->pattern, "*")] == 0;
}

static bool rules_section_matches(Model *m, const ConfigGpu *section)
{
        GHashTableIter iter;
        gpointer name;

        if (g_hash_table_contains(m->gpus, section->pattern))
                return true;

        g_hash_table_iter_init(&iter, m->gpus);
        while (g_hash_table_iter_next(&iter, &name, NULL))
                if (g_pattern_match_simple(section->pattern, name))
                        return true;

        return false;
}

static char *rules_explain_unmatched(const ConfigGpu *section)
{
        g_autofree char *address = pci_addr_to_name(section->pattern);

        if (address)
                return g_strdup_printf("%s matches no GPU: the host has no GPU %s", section->where, address);

        if (strpbrk(section->pattern, "*?"))
                return g_strdup_printf("%s matches no GPU", section->where);

        return g_strdup_printf("%s matches no GPU: the text is neither a PCI address nor the name of a GPU",
                               section->where);
}

GPtrArray *rules_find_unmatched(Model *m)
{
        GPtrArray *texts = g_ptr_array_new_with_free_func(g_free);
        const GPtrArray *sections = m->config->gpus;

        assert_main_thread();

        for (guint i = 0; m->discovered && i < sections->len && texts->len < RULES_UNMATCHED_MAX; i++) {
                const ConfigGpu *section = sections->pdata[i];

                if (!rules_section_is_general(section) && !rules_section_matches(m, section))
                        g_ptr_array_add(texts,
                                        text_clean(rules_explain_unmatched(section), RULES_UNMATCHED_BYTES));
        }

        return texts;
}

void rules_log_unmatched(Model *m)
{
        g_autoptr(GPtrArray) texts = rules_find_unmatched(m);

        assert_main_thread();

        for (guint i = 0; i < texts->len; i++)
                LOG_FIELDS(LOG_WARNING, (.message_id = VGPUD_MESSAGE_CONFIG_UNMATCHED), "%s",
                           (const char *)texts->pdata[i]);
}
