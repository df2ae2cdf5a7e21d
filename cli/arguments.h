/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The command line as plain values. */

#include <stdbool.h>
#include <stdint.h>

#include "base/macros.h"

/* A bit for each option that only some verbs take. */
typedef enum OptionBits {
        OPTION_TYPE = 1 << 0,
        OPTION_GPU = 1 << 1,
        OPTION_UUID = 1 << 2,
        OPTION_NAME = 1 << 3,
        OPTION_PARENT = 1 << 4,
        OPTION_COUNT = 1 << 5,
        OPTION_ATTR = 1 << 6,
        OPTION_TIMEOUT = 1 << 7,
        OPTION_FOREIGN = 1 << 8,
        OPTION_NO_BLOCK = 1 << 9,
        OPTION_WHY = 1 << 10,
        OPTION_STRATEGY = 1 << 11,
        OPTION_NUMA_NODE = 1 << 12,
        OPTION_PREFER_NUMA_NODE = 1 << 13,
        OPTION_NEAR = 1 << 14,
        OPTION_POOL = 1 << 15,
        OPTION_DRY_RUN = 1 << 16,
        OPTION_ALL = 1 << 17,
        OPTION_FULL = 1 << 18,
        OPTION_KEEP = 1 << 19,
        OPTION_STOP = 1 << 20,
        OPTION_FROM = 1 << 21,
        OPTION_NO_ATTRS = 1 << 22,
        OPTION_AUTOSTART = 1 << 23,
        OPTION_READY = 1 << 24,
} OptionBits;

typedef struct Attribute {
        char *name;
        const char *value; /* borrowed from argv */
} Attribute;

typedef struct Arguments {
        /* options that every verb takes */
        const char *host; /* NULL: this host */
        bool json;
        bool quiet;
        bool legend;
        bool ask_password;
        bool help;
        bool version;

        /* options that only some verbs take */
        unsigned given; /* OptionBits */
        bool block;
        bool foreign;
        bool why;
        bool all;
        bool full;
        bool keep;
        bool stop;
        bool ready;
        bool autostart;
        const char *type;
        const char *gpu;
        const char *uuid;
        const char *name;
        const char *parent;
        const char *strategy;
        const char *near;
        const char *pool;
        const char *from;
        int32_t numa_node;           /* -1: not given */
        int32_t preferred_numa_node; /* -1: not given */
        uint32_t count;
        uint64_t timeout_usec; /* 0: not given; UINT64_MAX: infinity */
        GArray *attributes;    /* Attribute, in the order given */

        /* words that are no options; NULL-terminated, borrowed from argv */
        char **words;
        unsigned n_words;
} Arguments;

/* Parse the command line. Returns 0, or the exit status after printing an error. The caller releases *a in both
 * cases. */
int arguments_parse(Arguments *a, int argc, char **argv);
void arguments_done(Arguments *a);

/* One row per option, for help, completion and the check of the options of a verb. */
typedef struct OptionInfo {
        const char *name;     /* "--gpu" */
        const char *letter;   /* "-H" or NULL */
        const char *argument; /* "GPU" or NULL */
        unsigned bit;         /* 0: every verb takes the option */
        const char *text;
        const char *change_text; /* for verbs with VerbInfo.unsets; NULL: `text` */
} OptionInfo;

const OptionInfo *option_table(void); /* ends with a row without name */
const char *option_text(const OptionInfo *o, bool changes);
