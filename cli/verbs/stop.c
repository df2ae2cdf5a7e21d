/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* stop */

#include "cli/verbs/destroy-calls.h"
#include "cli/verbs/verbs.h"

static int stop_run(const Arguments *a)
{
        _cleanup_client_ Client c = { 0 };
        _cleanup_targets_ Targets ts = { 0 };
        int status;

        status = targets_open(&ts, &c, a, "Could not stop", "definition");
        if (status == 0)
                status = targets_find_definitions(&ts, TARGETS_GPUS);

        return status != 0 ? status : targets_finish(&ts, destroy_targets(&ts, true));
}

const VerbInfo verb_stop = {
        .name = "stop",
        .words = "DEFINITION...",
        .least_words = 1,
        .most_words = VERB_ANY_WORDS,
        .options = OPTION_TIMEOUT | OPTION_NO_BLOCK,
        .run = stop_run,
        .text = "Remove instances, and keep their definitions",
};
