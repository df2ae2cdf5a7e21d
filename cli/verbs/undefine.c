/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* undefine */

#include "cli/verbs/destroy-calls.h"
#include "cli/verbs/verbs.h"

static int undefine_append(sd_bus_message *m, const Target *t, const Arguments *a)
{
        int r;

        r = sd_bus_message_append(m, "s", t->uuid);
        if (r >= 0)
                r = client_options_begin(m);

        return r < 0 ? r : client_options_end(m);
}

/* Leave in `sent` only the targets whose instances are to be stopped. */
static GPtrArray *undefine_take_running(Targets *ts)
{
        GPtrArray *all = ts->sent;

        ts->sent = g_ptr_array_new();

        for (unsigned i = 0; i < all->len; i++)
                if (!((const Target *)all->pdata[i])->stopped)
                        g_ptr_array_add(ts->sent, all->pdata[i]);

        return all;
}

/* Stop what runs. Then `sent` has the targets that can be undefined: those that have no instance any more. */
static int undefine_stop(Targets *ts)
{
        g_autoptr(GPtrArray) all = undefine_take_running(ts);
        const char *asked = ts->asked;
        int status;

        ts->asked = "Could not stop";
        status = destroy_targets(ts, true);
        ts->asked = asked;

        g_ptr_array_set_size(ts->sent, 0);

        for (unsigned i = 0; i < all->len; i++) {
                Target *t = all->pdata[i];

                if (t->error.name)
                        continue;

                t->result = "unknown";
                g_ptr_array_add(ts->sent, t);
        }

        return status;
}

static int undefine_run(const Arguments *a)
{
        _cleanup_client_ Client c = { 0 };
        _cleanup_targets_ Targets ts = { 0 };
        int status;

        status = targets_open(&ts, &c, a, "Could not undefine", "definition");
        if (status == 0)
                status = targets_find_definitions(&ts, a->stop ? TARGETS_STATES | TARGETS_GPUS : 0);
        if (status != 0)
                return status;

        if (a->stop)
                status = undefine_stop(&ts);
        if (status == 0 && ts.sent->len > 0)
                status = targets_call_each(&ts, "Undefine", CALL_NO_JOB, undefine_append);

        return targets_finish(&ts, status);
}

const VerbInfo verb_undefine = {
        .name = "undefine",
        .words = "DEFINITION...",
        .least_words = 1,
        .most_words = VERB_ANY_WORDS,
        .options = OPTION_STOP,
        .run = undefine_run,
        .text = "Remove definitions; instances that run go on",
};
