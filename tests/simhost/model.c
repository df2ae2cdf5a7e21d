/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The list of models, and their common parts. */

#include "simhost/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

static const Model *const models[] = {
        &model_gvt_g,
        &model_nvidia_a2,
        &model_nvidia_a2_vfio,
        &model_nvidia_l40s,
        &model_nvidia_l40s_mdev,
        &model_nvidia_h200,
        &model_nvidia_t4,
        &model_nvidia_geforce,
        &model_gim_mi300x,
        &model_gim_s7150,
        &model_xengt,
        &model_xe,
        &model_xe_igpu,
        &model_i915_sriov,
        &model_scalable,
        &model_plain,
        &model_samples,
        &model_sriov,
};

static int open_forbidden(Node *node, const void *opener)
{
        static const struct rlimit no_core;
        g_autofree char *path = node_path(node);

        fprintf(stderr, "simhost: %s was opened, which has side effects on real hardware: the host aborts\n",
                path);
        (void)setrlimit(RLIMIT_CORE, &no_core);
        abort();
}

const NodeOps forbidden_ops = { .open = open_forbidden };

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
