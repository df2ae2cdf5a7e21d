/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* vgpud.conf and vgpud.conf.d/NAME.conf (read in the order of their names, later ones win), key files:
 *
 *     [jobs]
 *     timeout=120s        how long an operation may take before the GPU is called stuck
 *     per-gpu=256         jobs that may wait for one GPU
 *     per-user=256        jobs that may wait for one user; root is not limited by it
 *     [start]
 *     timeout=5s          how long start-up waits for GPUs that do not answer
 *     [stop]
 *     timeout=5s          how long a stop waits for operations that run
 *     [discovery]
 *     also=8086:10c9 …    PCI functions that are no GPUs by their class, but are to be managed like
 *                         one: vendor and device in hexadecimal, blanks or commas between several
 *     [placement]
 *     strategy=breadth    how a GPU is chosen for requests that do not say: breadth or depth
 *     [gpu 0000:41:00.0]  GPUs of that name, which may have * and ?; what comes later wins
 *     pool=ai, desk       only requests that name one of these get it; the pool "default" is that of all others
 *     allow=A2-4Q, *-8Q   only these types; ids or other names, which may have * and ?
 *     forbid=*-1B         not these
 *     spare=1             so many of a type are kept for requests that name the GPU
 *     priority=-1         higher ones are taken first; 0 when it is not said
 *
 * A line that cannot be understood, an unknown section or key, or a bad value or a bad word of a list is an
 * error in the journal, with file and line, and ignored by itself: a typing error must not keep the daemon from
 * starting. */

#include <stdint.h>

#include "base/macros.h"
#include "policy/placement.h"

#define CONFIG_PRIORITY_NOT_SAID INT64_MAX

/* A section [gpu PATTERN]. Lists are NULL, spare is -1 and priority CONFIG_PRIORITY_NOT_SAID where it says
 * nothing of them. */
typedef struct ConfigGpu {
        char *pattern;
        char **pools, **allow, **forbid;
        int64_t spare;
        int64_t priority;
} ConfigGpu;

typedef struct Config {
        uint64_t job_timeout_usec;
        uint32_t jobs_per_gpu;
        uint32_t jobs_per_user;
        uint64_t start_timeout_usec;
        uint64_t stop_timeout_usec;
        GArray *also; /* ref, never changed once read: uint32_t, vendor << 16 | device */
        PlacementStrategy strategy;
        GPtrArray *gpus;         /* owned: ConfigGpu, in the order in which they were read */
        GPtrArray *errors;       /* owned: char *, what is ignored and why, each with its file */
        char *runtime_directory; /* owned: "/run/vgpud" */
        char *state_directory;   /* owned: "/var/lib/vgpud" */
        char *writer_path;       /* owned: the program vgpud-write */
        char *nvml_path;         /* owned: the program vgpud-nvml */
        char *systemctl_path;    /* owned: "/usr/bin/systemctl" */
        char *modules_path;      /* owned: "/lib/modules/RELEASE" of the running kernel */
} Config;

/* The defaults, and what the files in this directory say ("/etc/vgpud"; a missing one is fine). */
Config *config_new(void);
void config_read(Config *c, const char *directory);
Config *config_free(Config *c);

/* All that is said of this GPU, in the form of one section; borrowed. */
ConfigGpu config_find_gpu(const Config *c, const char *name);
