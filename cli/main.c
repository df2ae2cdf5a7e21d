/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* vgpuctl: the table of verbs, help, and dispatch. */

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "cli/output/errors.h"
#include "cli/output/terminal.h"
#include "cli/verbs/call-options.h"
#include "cli/verbs/verbs.h"

#define ANY UINT_MAX

static const VerbInfo verbs[] = {
        { NULL, "", 0, 0, 0, verb_overview, "Show the GPUs, their instances, and the types that fit" },
        { "gpus", "", 0, 0, 0, verb_gpus, "List the GPUs" },
        { "types", "[GPU]", 0, 1, OPTION_WHY, verb_types, "List the types, and how many of each can be made" },
        { "list", "[GPU]", 0, 1, 0, verb_list, "List the instances" },
        { "show", "OBJECT", 1, 2, 0, verb_show, "Show a GPU, an instance, or \"job N\" in detail" },
        { "create", "TYPE", 0, 1,
          OPTION_TYPE | OPTION_GPU | OPTION_UUID | OPTION_NAME | OPTION_PARENT | OPTION_COUNT | OPTION_ATTR |
                          OPTION_TIMEOUT | OPTION_NO_BLOCK | PLACE_OPTIONS,
          verb_create, "Make instances; print their UUIDs" },
        { "place", "TYPE", 0, 1, OPTION_TYPE | OPTION_COUNT | OPTION_DRY_RUN | PLACE_OPTIONS, verb_place,
          "Show the GPU that create would use, and why" },
        { "destroy", "INSTANCE...", 1, ANY, OPTION_FOREIGN | OPTION_TIMEOUT | OPTION_NO_BLOCK, verb_destroy,
          "Remove instances" },
        { "enable-vfs", "GPU [COUNT]", 1, 2, OPTION_TIMEOUT | OPTION_NO_BLOCK, verb_enable_vfs,
          "Enable virtual functions of a GPU" },
        { "disable-vfs", "GPU", 1, 1, OPTION_TIMEOUT | OPTION_NO_BLOCK, verb_disable_vfs,
          "Disable the virtual functions of a GPU" },
        { "configure", "GPU [MODE VALUE]", 1, 3, OPTION_TIMEOUT | OPTION_NO_BLOCK, verb_configure,
          "Set a mode of a GPU, or list its modes" },
        { "jobs", "", 0, 0, OPTION_ALL, verb_jobs, "List the jobs that run or wait" },
        { "wait", "JOB|INSTANCE...", 1, ANY, OPTION_TIMEOUT, verb_wait,
          "Wait for jobs, or for the jobs of instances" },
        { "cancel", "JOB", 1, 1, 0, verb_cancel, "Take a waiting job out of the queue" },
        { "rescan", "[GPU]", 0, 1, OPTION_TIMEOUT | OPTION_NO_BLOCK, verb_rescan, "Scan a GPU again, or all" },
        { "monitor", "", 0, 0, OPTION_FULL, verb_monitor, "Print events, until Ctrl-C" },
        { "help", "[VERB]", 0, 1, 0, verb_help, "Show this help, or the help of a verb" },
        { "__complete", "KIND [WORD]", 1, 2, OPTION_GPU, verb_complete, NULL },
        { NULL },
};

const VerbInfo *verb_table(void)
{
        return verbs;
}

static const VerbInfo *verb_find(const char *name)
{
        for (const VerbInfo *v = verbs; v->run; v++)
                if (g_strcmp0(v->name, name) == 0)
                        return v;

        return NULL;
}

static void help_print_options(unsigned bits)
{
        for (const OptionInfo *o = option_table(); o->name; o++) {
                g_autofree char *left = NULL;

                if (bits == 0 ? o->bit != 0 : (o->bit & bits) == 0)
                        continue;

                left = g_strdup_printf("%s%s%s%s%s", o->letter ? o->letter : "  ", o->letter ? ", " : "  ",
                                       o->name, o->argument ? " " : "", o->argument ? o->argument : "");
                (void)printf("  %-26s %s\n", left, o->text);
        }
}

static int help_print(const VerbInfo *verb)
{
        if (verb) {
                (void)printf("vgpuctl%s%s%s%s [OPTION...]\n\n%s.\n", verb->name ? " " : "",
                             verb->name ? verb->name : "", *verb->words ? " " : "", verb->words,
                             verb->text ? verb->text : "For shell completion");
                if (verb->options != 0) {
                        (void)puts("\nOptions:");
                        help_print_options(verb->options);
                }

                (void)puts("\nOptions of every verb:");
                help_print_options(0);
                return 0;
        }

        (void)puts("vgpuctl [VERB] [OBJECT...] [OPTION...]\n\nShow, make and remove virtual GPUs.\n\nVerbs:");
        for (const VerbInfo *v = verbs; v->run; v++) {
                g_autofree char *left = NULL;

                if (!v->text)
                        continue;

                left = v->name ? g_strdup_printf("%s%s%s", v->name, *v->words ? " " : "", v->words)
                               : g_strdup("(none)");
                (void)printf("  %-26s %s\n", left, v->text);
        }

        (void)puts("\nOptions:");
        help_print_options(0);
        (void)puts("\nOptions of single verbs:");
        help_print_options(UINT_MAX);
        (void)puts("\nAn instance is named by its UUID, a unique beginning of the UUID, or its name; a GPU by its\n"
                   "address or sysfs name, or a unique beginning or end of that name. Exit status: 0 done, 1 failed,\n"
                   "2 wrong usage, 3 not found, 4 not permitted, 5 no capacity, 6 busy or in use, 7 not supported,\n"
                   "8 timeout. vgpuctl(1) describes all verbs and options.");

        return 0;
}

int verb_help(const Arguments *a)
{
        const VerbInfo *verb = a->n_words > 0 ? verb_find(a->words[0]) : NULL;

        if (a->n_words > 0 && !verb)
                return fail_usage(a, "There is no verb \"%s\"", a->words[0]);

        return help_print(verb);
}

static int verb_check_words(const Arguments *a, const VerbInfo *verb)
{
        const char *name = verb->name ? verb->name : "The overview";
        unsigned unwanted = a->given & ~verb->options;

        if (a->n_words < verb->least_words)
                return fail_usage(a, "%s needs %s", name, verb->words);
        if (a->n_words > verb->most_words)
                return fail_usage(a, "%s takes no \"%s\"", name, a->words[verb->most_words]);

        if ((a->given & OPTION_TIMEOUT) && !a->block)
                return fail_usage(a, "--timeout does not go with --no-block, which waits for no job");

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
