/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "daemon/model/rules.h"

#include "base/thread.h"
#include "daemon/model/gpu.h"
#include "daemon/model/model.h"

#define RULES_HINT "change the rules of the GPU in vgpud.conf"

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

        return g_strv_builder_end(names);
}

/* NULL: the rules allow the type. */
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
