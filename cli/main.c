/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* vgpuctl: finds the verb, checks its words and options, and runs it. */

#include <stdio.h>

#include "cli/output/errors.h"
#include "cli/output/terminal.h"
#include "cli/verbs/help.h"
#include "cli/verbs/verbs.h"

static int verb_check_words(const Arguments *a, const VerbInfo *verb)
{
        const char *name = verb->name ? verb->name : "The overview";
        unsigned unwanted = a->given & ~verb->options;

        if (a->n_words < verb->least_words)
                return fail_usage(a, "%s needs %s", name, verb->words);
        if (a->n_words > verb->most_words)
                return fail_usage(a, "%s does not take \"%s\"", name, a->words[verb->most_words]);

        if ((a->given & OPTION_TIMEOUT) && !a->block)
                return fail_usage(a, "--timeout does not go with --no-block, which waits for no job");

        /* The daemon reads an empty name as "any GPU". */
        if ((a->given & OPTION_GPU) && !*a->gpu && !verb->unsets)
                return fail_usage(a, "--gpu needs the name of a GPU");

        for (const OptionInfo *o = option_table(); o->name; o++)
                if (o->bit & unwanted)
                        return fail_usage(a, "%s has no option %s", name, o->name);

        return 0;
}

static int main_run(Arguments *a)
{
        const VerbInfo *verb;
        int status;

        if (a->version) {
                (void)puts("vgpuctl " PROJECT_VERSION);
                return 0;
        }

        verb = verb_find(a->n_words > 0 ? a->words[0] : NULL);
        if (a->help)
                return help_print(a->n_words > 0 ? verb : NULL);

        if (!verb)
                return fail_usage(a, "There is no verb \"%s\"", a->words[0]);

        if (a->n_words > 0) {
                a->words++;
                a->n_words--;
        }

        status = verb_check_words(a, verb);

        return status != 0 ? status : verb->run(a);
}

int main(int argc, char **argv)
{
        Arguments a;
        int status;

        output_begin();

        status = arguments_parse(&a, argc, argv);
        if (status == 0)
                status = main_run(&a);
        arguments_done(&a);

        return output_finish(status);
}
