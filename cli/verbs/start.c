/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* start */

#include "cli/verbs/call-options.h"
#include "cli/verbs/targets.h"
#include "cli/verbs/verbs.h"

static int start_append(sd_bus_message *m, const Target *t, const Arguments *a)
{
        int r = sd_bus_message_append(m, "s", t->uuid);

        return r < 0 ? r : append_job_options(m, a);
}

static int start_run(const Arguments *a)
{
        _cleanup_client_ Client c = { 0 };
        _cleanup_targets_ Targets ts = { 0 };
        int status;

        status = targets_open(&ts, &c, a, "Could not start", "definition");
        if (status == 0)
                status = targets_find_definitions(&ts, 0);
        if (status != 0)
                return status;

        ts.explain = explain_attributes;
        if (ts.sent->len > 0)
                status = targets_call_each(&ts, "Start", CALL_JOB, start_append);

        return targets_finish(&ts, status);
}

const VerbInfo verb_start = {
        .name = "start",
        .words = "DEFINITION...",
        .least_words = 1,
        .most_words = VERB_ANY_WORDS,
        .options = OPTION_TIMEOUT | OPTION_NO_BLOCK,
        .run = start_run,
        .text = "Create the instances of definitions",
};
