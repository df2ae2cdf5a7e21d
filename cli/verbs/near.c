/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "cli/verbs/near.h"

#include "cli/client/lookup.h"

int near_resolve(Client *c, Host *h, char **ret)
{
        const char *word = c->args->near;
        _cleanup_error_info_ ErrorInfo error = { 0 };
        ObjectKind kind;
        GpuInfo *g;
        int status;

        *ret = NULL;

        if (!word)
                return 0;

        if (word_is_whole(word)) {
                *ret = g_strdup(word);
                return 0;
        }

        status = lookup_gpus(c, h);
        if (status != 0)
                return status;

        g = host_find(h, word, FIND_GPU, &kind, &error);
        if (!g && error_info_code(&error) == VGPUD_ERROR_AMBIGUOUS)
                return error_info_print(c->args, &error, word);

        *ret = g_strdup(g ? g->name : word);

        return 0;
}
