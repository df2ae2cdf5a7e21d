/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* edit */

#include "cli/output/errors.h"
#include "cli/verbs/define-call.h"
#include "cli/verbs/targets.h"
#include "cli/verbs/verbs.h"

static int edit_run(const Arguments *a)
{
        _cleanup_client_ Client c = { 0 };
        _cleanup_targets_ Targets ts = { 0 };
        sd_bus_message *m;
        const Target *t;
        int status;

        g_assert(a->n_words == 1);

        if (a->given == 0)
                return fail_usage(a, "edit needs at least one option, which names the change");

        status = define_check_options(a);
        if (status == 0)
                status = targets_open(&ts, &c, a, "Could not edit", "definition");
        if (status == 0)
                status = targets_find_definitions(&ts, 0);
        if (status != 0)
                return status;

        t = &ts.targets[0];
        if (t->error.name)
                return t->error.status;

        status = define_call_new(&c, "Edit", t->uuid, a->type, &m);

        return status != 0 ? status : define_call_run(&c, m, t->word, t->uuid, NULL);
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
