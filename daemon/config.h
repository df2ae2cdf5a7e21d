/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* vgpud.conf and vgpud.conf.d/NAME.conf (read in the order of their names, later ones win), key files
 * (GKeyFile):
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
 *     also=8086:10c9 …    PCI functions that are no GPUs by their class, but are to be managed like one: vendor
 * and device in hexadecimal, blanks or commas between several
 *
 * An unknown section or key, or a bad value, is warned about with file and key and otherwise ignored: a typing
 * error must not keep the daemon from starting. */

#include <stdint.h>

#include "base/macros.h"

typedef struct Config {
        uint64_t job_timeout_usec;
        uint32_t jobs_per_gpu;
        uint32_t jobs_per_user;
        uint64_t start_timeout_usec;
        uint64_t stop_timeout_usec;
        GArray *also;            /* ref, never changed once read: uint32_t, vendor << 16 | device */
        char *runtime_directory; /* owned: "/run/vgpud" */
        char *state_directory;   /* owned: "/var/lib/vgpud" */
        char *writer_path;       /* owned: the program vgpud-write */
        char *nvml_path;         /* owned: the program vgpud-nvml */
        char *systemctl_path;    /* owned: "/usr/bin/systemctl" */
} Config;

/* The defaults, and what the files in this directory say ("/etc/vgpud"; a missing one is fine). */
Config *config_new(void);
void config_read(Config *c, const char *directory);
Config *config_free(Config *c);
