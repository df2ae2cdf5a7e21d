/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The verbs: one row per verb, from which dispatch, help and completion come. A row is in the file of its verb,
 * and VERBS lists the rows in the order of the help. */

#include <limits.h>

#include "cli/arguments.h"

#define VERB_ANY_WORDS UINT_MAX

typedef struct VerbInfo {
        const char *name;  /* NULL: the overview */
        const char *words; /* further words, "[GPU]"; "" for none, never NULL */
        unsigned least_words;
        unsigned most_words; /* VERB_ANY_WORDS: no limit */
        unsigned options;    /* OptionBits */
        bool unsets;         /* an empty value of an option removes the present value */
        /* Returns the exit status. The words in the arguments begin after the verb. main.c has checked their
         * number and the options against the row. */
        int (*run)(const Arguments *a);
        const char *text; /* NULL: hidden */
} VerbInfo;

#define VERBS(X)            \
        X(verb_overview)    \
        X(verb_gpus)        \
        X(verb_types)       \
        X(verb_list)        \
        X(verb_show)        \
        X(verb_create)      \
        X(verb_place)       \
        X(verb_destroy)     \
        X(verb_define)      \
        X(verb_edit)        \
        X(verb_autostart)   \
        X(verb_start)       \
        X(verb_stop)        \
        X(verb_undefine)    \
        X(verb_enable_vfs)  \
        X(verb_disable_vfs) \
        X(verb_configure)   \
        X(verb_forget)      \
        X(verb_jobs)        \
        X(verb_wait)        \
        X(verb_cancel)      \
        X(verb_rescan)      \
        X(verb_monitor)     \
        X(verb_help)        \
        X(verb_complete)

#define X(verb) extern const VerbInfo verb;
VERBS(X)
#undef X

const VerbInfo *const *verb_table(void); /* ends with NULL */

/* `name` NULL: the overview. Returns NULL if there is no such verb. */
const VerbInfo *verb_find(const char *name);
