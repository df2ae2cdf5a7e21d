/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "cli/verbs/verbs.h"

#include <glib.h>

const VerbInfo *const *verb_table(void)
{
        static const VerbInfo *const verbs[] = {
#define X(verb) &verb,
                VERBS(X)
#undef X
                                NULL,
        };

        return verbs;
}

const VerbInfo *verb_find(const char *name)
{
        for (const VerbInfo *const *v = verb_table(); *v; v++)
                if (g_strcmp0((*v)->name, name) == 0)
                        return *v;

        return NULL;
}
