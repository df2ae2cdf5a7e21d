/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Wants: the definitions whose instances should exist. vgpud creates a wanted instance that is missing, for
 * example after a boot, or after its driver was loaded again (converge/converge.h).
 *
 * A definition is wanted from the moment when its instance runs, or, with autostart, from the boot of the host.
 * A stop ends the want, and so do the removal of the definition, the removal of the instance by another program
 * (converge/vanished.h), and the end of autostart while the definition waits. RUNTIME/wanted contains an empty
 * file UUID for each want, so that a restart of vgpud in the same boot starts no definition that a user has
 * stopped. The file "autostarted" shows that the definitions with autostart have been wanted since this boot.
 *
 * Main thread only. */

#include <glib.h>
#include <stdbool.h>

#include "base/error.h"
#include "base/uuid.h"
#include "daemon/forward.h"

struct Want {
        char uuid[UUID_STRLEN + 1];
        VgpudError waiting; /* the reason of a wait; code NONE: the instance runs, or no reason is known */

        /* Used by converge/ alone. */
        uint64_t since_usec; /* CLOCK_MONOTONIC, when the instance came into the model; 0: not yet */
        unsigned failures;   /* starts in a row that failed */
        uint64_t retry_usec; /* CLOCK_MONOTONIC: no start before this time; 0: at any time */
        GPtrArray *avoided;  /* owned: sysfs names of GPUs (owned) on which starts failed; NULL: none. Used if
                              * the definition names no GPU */
};

/* model.c calls wants_new() for the empty table, and wants_open() when definitions and runtime directory are
 * open. wants_open() reads the earlier wants and, once per boot, adds the definitions with autostart. */
GHashTable *wants_new(void);
int wants_open(Model *m);

/* NULL: the definition is not wanted, or there is no such definition. */
Want *want_get(Model *m, const char *uuid);

/* Add or remove a want; no effect if the definition has, or lacks, the want already. A file that cannot be
 * written or removed is logged. want_remove() announces a definition that waited as changed. want_forget()
 * leaves the announcement to the caller, and the definition may be gone. */
void want_add(Model *m, const char *uuid);
void want_remove(Model *m, const char *uuid);
void want_forget(Model *m, const char *uuid);

/* Wish a look at the definition, which may name another GPU than the one that has or had its instance. No
 * effect if the definition is not wanted. */
void want_wish(Model *m, const char *uuid);

/* Set the reason of the wait to a copy of the error; NULL: none any more. Announces the definition as changed
 * if the reason is new, and logs a new reason, unless many reasons were logged in the same minute. */
void want_set_waiting(Model *m, Want *want, const VgpudError *error);
