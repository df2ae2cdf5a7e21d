/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* undefine */

#include <stdio.h>
#include <string.h>

#include "cli/output/errors.h"
#include "cli/output/format.h"
#include "cli/verbs/destroy-calls.h"
#include "cli/verbs/verbs.h"

static int undefine_append(sd_bus_message *m, const Target *t, const Arguments *a)
{
        return client_append_word(m, t->uuid);
}

/* Leave in `sent` only the targets whose instances are to be stopped. Returns the earlier array. */
static GPtrArray *undefine_take_running(Targets *ts)
{
        GPtrArray *all = ts->sent;

        ts->sent = g_ptr_array_new();

        for (unsigned i = 0; i < all->len; i++)
                if (!((const Target *)all->pdata[i])->stopped)
                        g_ptr_array_add(ts->sent, all->pdata[i]);

        return all;
}

/* Stop the instances that run. Then `sent` has the targets that can be undefined: those whose stop did not
 * fail. */
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

                t->destroyed = !t->stopped && strcmp(t->result, "done") == 0;
                t->result = "unknown";
                g_ptr_array_add(ts->sent, t);
        }

        return status;
}

/* If undefine ends after the stop, say that the definitions stay: the printed error is only about the stop. */
static void undefine_say_kept(const Targets *ts)
{
        const Arguments *a = ts->client->args;

        for (unsigned i = 0; !a->json && i < ts->n_targets; i++) {
                g_autofree char *printable = format_printable(ts->targets[i].word);

                if (ts->targets[i].path && !ts->targets[i].again)
                        (void)fprintf(stderr, "vgpuctl: Definition %s stays.\n", printable);
        }
}

static int undefine_run(const Arguments *a)
{
        _cleanup_client_ Client c = { 0 };
        _cleanup_targets_ Targets ts = { 0 };
        int status;

        if ((a->given & OPTION_TIMEOUT) && !a->stop)
                return fail_usage(a, "--timeout limits how long --stop waits, so it needs --stop");

        status = targets_open(&ts, &c, a, "Could not undefine", "definition");
        if (status == 0)
                status = targets_find_definitions(&ts, a->stop ? TARGETS_STATES | TARGETS_GPUS : 0);
        if (status != 0)
                return status;

        ts.show_destroyed = true;
        if (a->stop)
                status = undefine_stop(&ts);
        if (a->stop && status != 0)
                undefine_say_kept(&ts);
        if (status == 0 && ts.sent->len > 0)
                status = targets_call_each(&ts, "Undefine", CALL_NO_JOB, undefine_append);

        return targets_finish(&ts, status);
}

const VerbInfo verb_undefine = {
        .name = "undefine",
        .words = "DEFINITION...",
        .least_words = 1,
        .most_words = VERB_ANY_WORDS,
        .options = OPTION_STOP | OPTION_TIMEOUT,
        .run = undefine_run,
        .text = "Remove definitions; instances that run go on",
};
