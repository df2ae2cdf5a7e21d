/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The table of verbs, and the function of each verb, which is in the file of its name. A verb takes the
 * arguments, whose words begin after the verb, and returns the exit status. */

#include "cli/arguments.h"

int verb_overview(const Arguments *a);
int verb_gpus(const Arguments *a);
int verb_types(const Arguments *a);
int verb_list(const Arguments *a);
int verb_jobs(const Arguments *a);
int verb_show(const Arguments *a);
int verb_create(const Arguments *a);
int verb_place(const Arguments *a);
int verb_destroy(const Arguments *a);
int verb_wait(const Arguments *a);
int verb_cancel(const Arguments *a);
int verb_rescan(const Arguments *a);
int verb_enable_vfs(const Arguments *a);
int verb_disable_vfs(const Arguments *a);
int verb_configure(const Arguments *a);
int verb_monitor(const Arguments *a);
int verb_help(const Arguments *a);
int verb_complete(const Arguments *a);

/* One row per verb, for dispatch, help and completion. */
typedef struct VerbInfo {
        const char *name;  /* NULL: the overview */
        const char *words; /* further words: "[GPU]" */
        unsigned least_words;
        unsigned most_words;
        unsigned options; /* OptionBits */
        int (*run)(const Arguments *a);
        const char *text; /* NULL: hidden */
} VerbInfo;

const VerbInfo *verb_table(void); /* ends with a row without `run` */
