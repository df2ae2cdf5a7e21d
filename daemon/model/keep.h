/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Changes the kept settings of GPUs (store/settings.h), and announces and logs each change. No other code
 * changes the store. Main thread only. `requester`: the user who asks for the change; UID_INVALID: vgpud.
 *
 * A kept setting is *settled* while vgpud must not apply the setting: vgpud or a user has set the number of VFs
 * or the mode since the kernel driver took the GPU. A note in the runtime directory lists settled settings over
 * a restart of vgpud. converge/kept.h applies the others. `mode` NULL always means the number of VFs. */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

#include "base/error.h"
#include "daemon/forward.h"

/* The part of a Gpu for kept settings. */
typedef struct GpuKept {
        uint64_t driver_identity; /* GpuFacts.driver_identity to which `settled` belongs */
        GPtrArray *settled;       /* owned: char *, checksums of settled settings; never NULL */
        VgpudError waiting;       /* reason of a wait; code NONE: all is settled, or no reason is known */

        /* Used by converge/; keep_follow_driver() resets the pause. */
        uint32_t job;           /* the job that applies a setting; 0: none */
        unsigned failures;      /* jobs in a row that failed */
        uint64_t retry_usec;    /* CLOCK_MONOTONIC: no job before this time; 0: at any time */
        sd_event_source *retry; /* owned; wishes a convergence at retry_usec; NULL: none */
} GpuKept;

void gpu_kept_done(GpuKept *kept);

/* NULL: nothing is kept. The settings may have been kept for another card at the same address. */
const GpuSettings *keep_get(const Gpu *gpu);
/* UNSUPPORTED if the settings were kept for another card. */
int keep_check_card(const Gpu *gpu, const GpuSettings *settings, VgpudError *reterr);

/* Begin a change that counts only if a job succeeds. When the function returns, the store has the new number or
 * mode; but with `count` 0, only keep_end() forgets the number. The job owns *ret. Errors: IN_USE (another job
 * changes the settings of the GPU), and errors of settings_put(). */
int keep_begin_vfs(Gpu *gpu, uint32_t count, uid_t requester, Keep **ret, VgpudError *reterr);
int keep_begin_mode(Gpu *gpu, const char *mode, const char *value, uid_t requester, Keep **ret,
                    VgpudError *reterr);
/* The job has ended. After a failure (`done` is false), restore the earlier settings. If the job succeeded and
 * the number cannot be forgotten, *reterr has the reason, and otherwise nothing. `k` may be NULL. Returns NULL.
 */
Keep *keep_end(Keep *k, bool done, VgpudError *reterr);
/* True between keep_begin_*() and keep_end(). */
bool keep_is_changing(const Gpu *gpu);

/* Forget the number of VFs, one mode (NULL: none), or, without both, all. `gpu`: the sysfs name; the host need
 * not have the GPU. Errors: INVALID (the setting is not kept), IN_USE, and errors of settings_put(). */
int keep_forget(Model *m, const char *gpu, bool vfs, const char *mode, uid_t requester, VgpudError *reterr);
/* Only check keep_forget(). */
int keep_check_forget(Model *m, const char *gpu, bool vfs, const char *mode, VgpudError *reterr);

/* Set why the settings are not applied; NULL: no reason any more. Announces and logs a new reason. */
void keep_set_waiting(Gpu *gpu, const VgpudError *error);

/* ---- settled settings ---- */

/* The kept setting has been applied, or a user has set another value. No effect if the setting is not kept. */
void keep_settle(Gpu *gpu, const char *mode);
/* keep_settle() for a job that has set the number or the mode. `own`: the change of this job; NULL: none. No
 * effect while another job, which follows, changes the kept settings. */
void keep_settle_by_job(Gpu *gpu, const char *mode, const Keep *own);
bool keep_is_settled(const Gpu *gpu, const char *mode);
/* Read the note of an earlier vgpud; gpu_new() calls this function. */
void keep_read_settled(Gpu *gpu);
/* The facts of the GPU have changed: nothing is settled any more if the driver has taken the GPU anew. */
void keep_follow_driver(Gpu *gpu);
