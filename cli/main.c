/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* vgpuctl: the table of verbs, help, and dispatch. */

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "cli/output/errors.h"
#include "cli/output/terminal.h"
#include "cli/verbs/place.h"
#include "cli/verbs/verbs.h"

#define ANY UINT_MAX

static const VerbInfo verbs[] = {
        { NULL, "", 0, 0, 0, verb_overview, "Show the GPUs, what is made on them, and what could be" },
        { "gpus", "", 0, 0, 0, verb_gpus, "List the GPUs" },
        { "types", "[GPU]", 0, 1, OPTION_WHY, verb_types, "List what can be made, and how many of it" },
        { "list", "[GPU]", 0, 1, 0, verb_list, "List the instances" },
        { "show", "OBJECT", 1, 2, 0, verb_show, "Show all about a GPU, an instance, or \"job N\"" },
        { "create", "TYPE", 0, 1,
          OPTION_TYPE | OPTION_GPU | OPTION_UUID | OPTION_NAME | OPTION_PARENT | OPTION_COUNT | OPTION_ATTR |
                          OPTION_TIMEOUT | OPTION_NO_BLOCK | PLACE_OPTIONS,
          verb_create, "Make instances; print their UUIDs" },
        { "place", "TYPE", 0, 1, OPTION_TYPE | OPTION_COUNT | OPTION_DRY_RUN | PLACE_OPTIONS, verb_place,
          "Show where create would make it, and why not elsewhere" },
        { "destroy", "INSTANCE...", 1, ANY, OPTION_FOREIGN | OPTION_TIMEOUT | OPTION_NO_BLOCK, verb_destroy,
          "Remove instances" },
        { "enable-vfs", "GPU [COUNT]", 1, 2, OPTION_TIMEOUT | OPTION_NO_BLOCK, verb_enable_vfs,
          "Give a GPU virtual functions, as many as it can have" },
        { "disable-vfs", "GPU", 1, 1, OPTION_TIMEOUT | OPTION_NO_BLOCK, verb_disable_vfs,
          "Take the virtual functions of a GPU away" },
        { "configure", "GPU [MODE VALUE]", 1, 3, OPTION_TIMEOUT | OPTION_NO_BLOCK, verb_configure,
          "Set a mode of a GPU, or list its modes" },
        { "jobs", "", 0, 0, 0, verb_jobs, "List what is being done or waits to be done" },
        { "cancel", "JOB", 1, 1, 0, verb_cancel, "Take a job out of the queue" },
        { "rescan", "[GPU]", 0, 1, OPTION_NO_BLOCK, verb_rescan, "Look at a GPU again, or at all" },
        { "monitor", "", 0, 0, 0, verb_monitor, "Print what happens, until Ctrl-C" },
        { "help", "[VERB]", 0, 1, 0, verb_help, "Show this text, or that of a verb" },
        { "__complete", "KIND [WORD]", 1, 2, OPTION_GPU, verb_complete, NULL },
        { NULL },
};

const VerbInfo *verb_table(void)
{
        return verbs;
}

static const VerbInfo *find_verb(const char *name)
{
        for (const VerbInfo *v = verbs; v->run; v++)
                if (g_strcmp0(v->name, name) == 0)
                        return v;
        return NULL;
}

static void print_options(unsigned bits)
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

static int print_help(const VerbInfo *verb)
{
        if (verb) {
                (void)printf("vgpuctl%s%s%s%s [OPTION...]\n\n%s.\n", verb->name ? " " : "",
                             verb->name ? verb->name : "", *verb->words ? " " : "", verb->words,
                             verb->text ? verb->text : "For shell completion");
                if (verb->options != 0) {
                        (void)puts("\nOptions:");
                        print_options(verb->options);
                }
                (void)puts("\nOptions of every verb:");
                print_options(0);
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
        print_options(0);
        (void)puts("\nOptions of single verbs:");
        print_options(UINT_MAX);
        (void)puts("\nAn instance is named by its UUID, a unique beginning of it, or its name; a GPU by its "
                   "address or sysfs "
                   "name,\nor a unique beginning or end of it. Exit status: 0 done, 1 failed, 2 wrong usage, 3 "
                   "not found,\n"
                   "4 not permitted, 5 no capacity, 6 busy or in use, 7 not supported. vgpuctl(1) has all of "
                   "it.");
        return 0;
}

int verb_help(const Arguments *a)
{
        const VerbInfo *verb = a->n_words > 0 ? find_verb(a->words[0]) : NULL;

        if (a->n_words > 0 && !verb)
                return fail_usage(a, "There is no verb \"%s\"", a->words[0]);
        return print_help(verb);
}

static int check_words(const Arguments *a, const VerbInfo *verb)
{
        const char *name = verb->name ? verb->name : "The overview";
        unsigned unwanted = a->given & ~verb->options;

        if (a->n_words < verb->least_words)
                return fail_usage(a, "%s needs %s", name, verb->words);
        if (a->n_words > verb->most_words)
                return fail_usage(a, "%s takes no \"%s\"", name, a->words[verb->most_words]);
        for (const OptionInfo *o = option_table(); o->name; o++)
                if (o->bit & unwanted)
                        return fail_usage(a, "%s has no option %s", name, o->name);
        return 0;
}

static int run(Arguments *a)
{
        const VerbInfo *verb;
        int status;

        if (a->version) {
                (void)puts("vgpuctl " PROJECT_VERSION);
                return 0;
        }
        verb = find_verb(a->n_words > 0 ? a->words[0] : NULL);
        if (a->help)
                return print_help(a->n_words > 0 ? verb : NULL);
        if (!verb)
                return fail_usage(a, "There is no verb \"%s\"", a->words[0]);
        if (a->n_words > 0) {
                a->words++;
                a->n_words--;
        }
        status = check_words(a, verb);
        return status != 0 ? status : verb->run(a);
}

int main(int argc, char **argv)
{
        Arguments a;
        int status;

        output_begin();
        status = arguments_parse(&a, argc, argv);
        if (status == 0)
                status = run(&a);
        arguments_done(&a);
        return output_finish(status);
}
