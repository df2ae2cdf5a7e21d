/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Wants: the definitions whose instances should run. vgpud starts an instance that should run and does not, for
 * example after a boot, or after its driver was loaded again (converge/converge.h).
 *
 * A definition is wanted from the moment its instance runs, or, with autostart, from the boot of the host. A
 * stop ends the want, and so does the removal of the definition. RUNTIME/wanted contains an empty file named
 * UUID for each want, so that a restart of vgpud in the same boot starts no definition that a user has stopped.
 * The file "autostarted" shows that the definitions with autostart are wanted since this boot.
 *
 * Main thread only. */

#include <stdbool.h>

#include "base/error.h"
#include "base/uuid.h"
#include "daemon/forward.h"

struct Want {
        char uuid[UUID_STRLEN + 1];
        VgpudError waiting; /* the reason of a wait; code NONE: the instance runs, or no reason is known */

        /* used by converge/ alone */
        uint64_t since_usec; /* CLOCK_MONOTONIC, when the instance came into the model; 0: it has not come */
        unsigned failures;   /* starts in a row that failed */
        uint64_t retry_usec; /* CLOCK_MONOTONIC: no start before this time; 0: at any time */
};

/* model.c calls wants_new() for the empty table, and wants_open() when definitions and runtime directory are
 * open: it reads the wants of earlier starts and, once per boot, adds the definitions with autostart. */
GHashTable *wants_new(void);
int wants_open(Model *m);

/* NULL: the definition is not wanted, or there is no such definition. */
Want *want_get(Model *m, const char *uuid);

/* Add or remove a want; no effect if the definition has, or lacks, the want already. A file that cannot be
 * written or removed is logged. want_remove() announces the definition as changed if it waited; want_forget()
 * leaves that to the caller, and the definition may be gone. */
void want_add(Model *m, const char *uuid);
void want_remove(Model *m, const char *uuid);
void want_forget(Model *m, const char *uuid);

/* Set the reason of the wait; NULL: none any more. The error is copied. Announces the definition as
 * changed if the reason is new, and logs a new reason. */
void want_set_waiting(Model *m, Want *want, const VgpudError *error);
