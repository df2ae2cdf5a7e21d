/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "cli/verbs/help.h"

#include <limits.h>
#include <stdio.h>

#include "cli/output/errors.h"

static void help_print_options(unsigned bits, bool changes)
{
        for (const OptionInfo *o = option_table(); o->name; o++) {
                g_autofree char *left = NULL;

                if (bits == 0 ? o->bit != 0 : (o->bit & bits) == 0)
                        continue;

                left = g_strdup_printf("%s%s%s%s%s", o->letter ? o->letter : "  ", o->letter ? ", " : "  ",
                                       o->name, o->argument ? " " : "", o->argument ? o->argument : "");
                (void)printf("  %-26s %s\n", left, option_text(o, changes));
        }
}

int help_print(const VerbInfo *verb)
{
        if (verb) {
                (void)printf("vgpuctl%s%s%s%s [OPTION...]\n\n%s.\n", verb->name ? " " : "",
                             verb->name ? verb->name : "", *verb->words ? " " : "", verb->words,
                             verb->text ? verb->text : "For shell completion");
                if (verb->options != 0) {
                        (void)puts("\nOptions:");
                        help_print_options(verb->options, verb->unsets);
                }

                (void)puts("\nOptions of every verb:");
                help_print_options(0, false);
                return 0;
        }

        (void)puts("vgpuctl [VERB] [OBJECT...] [OPTION...]\n\nShow, create and destroy virtual GPUs.\n\nVerbs:");
        for (const VerbInfo *const *p = verb_table(); *p; p++) {
                const VerbInfo *v = *p;
                g_autofree char *left = NULL;

                if (!v->text)
                        continue;

                left = v->name ? g_strdup_printf("%s%s%s", v->name, *v->words ? " " : "", v->words)
                               : g_strdup("(none)");
                (void)printf("  %-26s %s\n", left, v->text);
        }

        (void)puts("\nOptions:");
        help_print_options(0, false);
        (void)puts("\nOptions of single verbs:");
        help_print_options(UINT_MAX, false);
        (void)puts("\nAn instance is named by its UUID, a unique beginning of the UUID, or its name; a GPU by its\n"
                   "address or sysfs name, or a unique beginning or end of that name. Exit status: 0 done, 1 failed,\n"
                   "2 wrong usage, 3 not found, 4 not permitted, 5 no capacity, 6 busy or in use, 7 not supported,\n"
                   "8 timeout. vgpuctl(1) describes all verbs and options.");

        return 0;
}

static int help_run(const Arguments *a)
{
        const VerbInfo *verb = a->n_words > 0 ? verb_find(a->words[0]) : NULL;

        g_assert(a->n_words <= 1);

        if (a->n_words > 0 && !verb)
                return fail_usage(a, "There is no verb \"%s\"", a->words[0]);

        return help_print(verb);
}

const VerbInfo verb_help = {
        .name = "help",
        .words = "[VERB]",
        .most_words = 1,
        .run = help_run,
        .text = "Show this help, or the help of a verb",
};
