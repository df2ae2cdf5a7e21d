/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The words of a verb that acts on several instances or definitions, and the result for each word. Functions
 * that return int return 0, or the exit status after printing an error. */

#include "cli/client/lookup-definitions.h"
#include "cli/client/wait.h"

typedef struct Target {
        const char *word;
        char *path; /* of the instance; NULL: the word names nothing */
        char *uuid;
        char *gpu;      /* path; NULL: not known */
        bool again;     /* an earlier word names the same instance or definition */
        bool stopped;   /* TARGETS_STATES: the definition is stopped or waits, so it has no instance */
        bool waits;     /* TARGETS_STATES: the definition waits for its start */
        bool destroyed; /* undefine --stop has destroyed the instance */

        uint32_t job; /* 0: no job */
        const char *result;
        ErrorInfo error; /* as printed; its name is NULL if there is no error */
} Target;

/* Adds a hint to the error of a target, which has no hint yet. */
typedef void (*TargetExplain)(ErrorInfo *e, const Arguments *a);

typedef struct Targets {
        Client *client;
        const char *asked;     /* "Could not destroy", without the word */
        const char *key;       /* key of the word in JSON */
        bool show_destroyed;   /* JSON has Target.destroyed */
        TargetExplain explain; /* NULL: none */
        Target *targets;
        unsigned n_targets;
        GPtrArray *sent;  /* Target: the targets of the calls, in the order of the calls */
        GHashTable *seen; /* path -> the first Target that has the path */
} Targets;

/* Checks the words of the command line, makes a target of each, and opens the connection. `key`: "instance" or
 * "definition". */
int targets_open(Targets *ts, Client *c, const Arguments *a, const char *asked, const char *key);
void targets_done(Targets *ts);
#define _cleanup_targets_ _cleanup_(targets_done)

/* Appends a target with a path to `sent`, unless an earlier one has the same path. */
void targets_add_sent(Targets *ts, Target *t);

/* Members that targets_find_definitions() sets on request. */
typedef enum TargetsNeeds {
        TARGETS_STATES = 1 << 0, /* Target.stopped, Target.waits */
        TARGETS_GPUS = 1 << 1,   /* Target.gpu, if there are several words */
} TargetsNeeds;
/* Finds the definitions of the words, also by the names of instances: an instance keeps the old name after an
 * edit, until the next start. A word without a definition fails alone. */
int targets_find_definitions(Targets *ts, unsigned needs);

/* Records the result of a target. target_fail() also prints the error. */
void target_fail(const Targets *ts, Target *t, const ErrorInfo *said);
void target_succeed(const Targets *ts, Target *t);

/* Sends one call of the manager for each target in `sent`. `append` appends the arguments, and returns a
 * negative errno on failure. */
typedef int (*TargetAppend)(sd_bus_message *m, const Target *t, const Arguments *a);
int targets_call_each(Targets *ts, const char *member, CallKind kind, TargetAppend append);

/* Prints the results, and returns the exit status: `status`, or the status of the first failure. */
int targets_finish(Targets *ts, int status);
