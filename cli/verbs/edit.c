/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* edit */

#include "cli/output/errors.h"
#include "cli/verbs/define-call.h"
#include "cli/verbs/verbs.h"

static int edit_run(const Arguments *a)
{
        int status;

        g_assert(a->n_words == 1);

        if (a->given == 0)
                return fail_usage(a, "edit needs at least one option, which names the change");

        status = define_check_options(a);

        return status != 0 ? status : define_edit(a);
}

const VerbInfo verb_edit = {
        .name = "edit",
        .words = "DEFINITION",
        .least_words = 1,
        .most_words = 1,
        .options = DEFINE_OPTIONS | OPTION_NO_ATTRS,
        .unsets = true,
        .run = edit_run,
        .text = "Change a definition, from the next start on",
};
