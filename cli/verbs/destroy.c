/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* destroy */

#include "cli/output/errors.h"
#include "cli/verbs/call-options.h"
#include "cli/verbs/destroy-calls.h"
#include "cli/verbs/verbs.h"

static int destroy_resolve(Targets *ts)
{
        const Arguments *a = ts->client->args;
        _cleanup_host_ Host *h = host_new();
        bool listed = a->n_words > 1; /* one job removes all instances of a GPU, so find their GPUs */

        for (unsigned i = 0; i < a->n_words; i++)
                listed = listed || !word_is_whole(a->words[i]);
        if (listed) {
                int status = lookup_instances(ts->client, h, NULL, LOOKUP_NAMES);

                if (status != 0)
                        return status;
        }

        for (unsigned i = 0; i < a->n_words; i++) {
                Target *t = &ts->targets[i];
                _cleanup_error_info_ ErrorInfo said = { 0 }, error = { 0 };
                ObjectKind kind;
                InstanceInfo *instance = NULL;

                if (listed)
                        instance = host_find(h, t->word, FIND_INSTANCE | FIND_NO_SHORT, &kind, &said);
                if (instance) {
                        t->path = g_strdup(instance->path);
                        t->gpu = g_strdup(instance->gpu);
                } else if (t->word[0] == '/' && word_is_whole(t->word))
                        t->path = g_strdup(t->word);
                else if (word_is_whole(t->word))
                        t->path = instance_path_from_uuid(t->word);
                else if (!lookup_missing_instance(ts->client, t->word, &said, &t->path, &error)) {
                        target_fail(ts, t, &error);
                        continue;
                }

                t->uuid = uuid_from_path(t->path);
                targets_add_sent(ts, t);
        }

        return 0;
}

static int destroy_run(const Arguments *a)
{
        _cleanup_client_ Client c = { 0 };
        _cleanup_targets_ Targets ts = { 0 };
        int status;

        status = targets_open(&ts, &c, a, "Could not destroy", "instance");
        if (status == 0)
                status = destroy_resolve(&ts);

        return status != 0 ? status : targets_finish(&ts, destroy_targets(&ts, false));
}

const VerbInfo verb_destroy = {
        .name = "destroy",
        .words = "INSTANCE...",
        .least_words = 1,
        .most_words = VERB_ANY_WORDS,
        .options = OPTION_FOREIGN | OPTION_TIMEOUT | OPTION_NO_BLOCK,
        .run = destroy_run,
        .text = "Remove instances",
};
