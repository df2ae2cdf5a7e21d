/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* stop */

#include "cli/verbs/destroy-calls.h"
#include "cli/verbs/verbs.h"

static int stop_append_cancel(sd_bus_message *m, const Target *t, const Arguments *a)
{
        return client_append_word(m, t->uuid);
}

/* Cancel the starts of the definitions that wait, and leave the other targets in `sent`. */
static int stop_cancel_starts(Targets *ts)
{
        g_autoptr(GPtrArray) all = ts->sent;
        int status = 0;

        ts->sent = g_ptr_array_new();
        for (unsigned i = 0; i < all->len; i++)
                if (((const Target *)all->pdata[i])->waits)
                        g_ptr_array_add(ts->sent, all->pdata[i]);
        if (ts->sent->len > 0)
                status = targets_call_each(ts, "CancelStart", CALL_NO_JOB, stop_append_cancel);

        g_ptr_array_set_size(ts->sent, 0);
        for (unsigned i = 0; i < all->len; i++)
                if (!((const Target *)all->pdata[i])->waits)
                        g_ptr_array_add(ts->sent, all->pdata[i]);

        return status;
}

static int stop_run(const Arguments *a)
{
        _cleanup_client_ Client c = { 0 };
        _cleanup_targets_ Targets ts = { 0 };
        int status;

        status = targets_open(&ts, &c, a, "Could not stop", "definition");
        if (status == 0)
                status = targets_find_definitions(&ts, TARGETS_STATES | TARGETS_GPUS);
        if (status != 0)
                return status;

        status = stop_cancel_starts(&ts);
        if (status == 0)
                status = destroy_targets(&ts, true);

        return targets_finish(&ts, status);
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
