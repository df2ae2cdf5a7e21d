/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The list of models. */

#include "simhost/model.h"

static const Model *const models[] = { &model_gvt_g,      &model_nvidia_a2, &model_xe,    &model_xe_igpu,
                                       &model_i915_sriov, &model_scalable,  &model_plain, &model_samples };

const Model *model_get(unsigned index)
{
        return index < G_N_ELEMENTS(models) ? models[index] : NULL;
}

const Model *model_find(const char *name)
{
        for (size_t i = 0; i < G_N_ELEMENTS(models); i++)
                if (g_str_equal(models[i]->name, name))
                        return models[i];
        return NULL;
}
