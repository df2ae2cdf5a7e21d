/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Waits until the readiness of the host is no longer "converging", or until definitions are active. The wait
 * goes on while the daemon is not on the bus, for example during a restart.
 *
 * --timeout limits the whole wait. Without --timeout, READY_ABSENT_USEC limits each absence of the daemon. */

#include <stdbool.h>
#include <systemd/sd-bus.h>

#include "cli/client/client.h"

#define READY_ABSENT_USEC (90 * USEC_PER_SEC)

/* A definition that the user named. All members but `word` are owned. */
typedef struct ReadyDefinition {
        const char *word; /* borrowed; whole name or UUID */
        char *uuid;       /* this and the next members: NULL until known */
        char *name, *state, *reason;
        bool active;     /* has been active; the wait for this definition is over */
        ErrorInfo error; /* explained; ends the wait; without a name: none */

        struct ReadyWaiter *waiter; /* borrowed; waiter and question are for ready-wait.c alone */
        sd_bus_slot *question;
} ReadyDefinition;

typedef struct Ready {
        ReadyDefinition *definitions; /* owned */
        size_t n_definitions;         /* 0: wait for the readiness of the host */

        /* the result */
        char *readiness;    /* owned; NULL: not known */
        GPtrArray *missing; /* owned: char *; filled unless the readiness is "ready" */
        ErrorInfo error;    /* explained; without a name: the wait was not given up */
} Ready;

/* `words`: of definitions; borrowed. */
void ready_init(Ready *ready, char **words, unsigned n_words);
void ready_done(Ready *ready);
#define _cleanup_ready_ _cleanup_(ready_done)

/* Waits, and fills the result. Prints nothing but a line of progress. */
void ready_wait(Client *c, Ready *ready);

bool ready_is_ready(const Ready *ready);

/* One clause about a definition that is not active, like those in `missing`. */
char *ready_describe(const ReadyDefinition *d);
