/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* autostart */

#include <string.h>

#include "cli/output/errors.h"
#include "cli/verbs/define-call.h"
#include "cli/verbs/verbs.h"

static int autostart_run(const Arguments *a)
{
        Arguments edit = *a;

        g_assert(a->n_words == 2);

        if (strcmp(a->words[1], "on") != 0 && strcmp(a->words[1], "off") != 0)
                return fail_usage(a, "autostart takes \"on\" or \"off\", not \"%s\"", a->words[1]);

        edit.n_words = 1;
        edit.given |= OPTION_AUTOSTART;
        edit.autostart = strcmp(a->words[1], "on") == 0;

        return define_edit(&edit);
}

const VerbInfo verb_autostart = {
        .name = "autostart",
        .words = "DEFINITION on|off",
        .least_words = 2,
        .most_words = 2,
        .run = autostart_run,
        .text = "Start a definition after each boot, or not",
};
