/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The key files vgpud.conf and vgpud.conf.d/NAME.conf. vgpud.conf is read first, then the files of vgpud.conf.d
 * in the order of their names; later values win:
 *
 *     [jobs]
 *     timeout=120s        limit of a job or scan; afterwards the GPU is stuck
 *     per-gpu=256         jobs that may wait for one GPU; work/queue.h has the shares of users and root
 *     per-user=256        jobs of one user that may wait or run; root has no limit
 *     [start]
 *     timeout=5s          how long start-up waits for GPUs
 *     [ready]
 *     timeout=60s         how long the readiness may be "converging" after start-up
 *     [stop]
 *     timeout=5s          how long a stop waits for running jobs
 *     [discovery]
 *     also=8086:10c9 …    PCI functions of another class to manage as GPUs: vendor and device in
 *                         hexadecimal, separated by blanks or commas
 *     [placement]
 *     strategy=breadth    default strategy of requests: breadth or depth
 *     [gpu 0000:41:00.0]  GPUs by name, with * and ?, or by address in any form; later sections win
 *     pool=ai, desk       pools of the GPU; the default is the pool "default"
 *     allow=A2-4Q, *-8Q   the only types that may be created; ids or aliases, with * and ?
 *     forbid=*-1B         excluded types
 *     spare=1             instances of a type held back for requests that name the GPU
 *     priority=-1         GPUs of higher priority come first; the default is 0
 *     take-bound=yes      hand out VFs that another program bound to a driver of VFIO and that no program uses
 *
 * Each number has a range, which the table in config.c states. An invalid line, section, key or value is
 * ignored alone. An invalid element of a list matches nothing: an allow= with only invalid elements forbids
 * every type. Each mistake is logged with file and line, and does not keep the daemon from starting. */

#include <stdint.h>

#include "base/macros.h"
#include "policy/placement.h"

#define CONFIG_PRIORITY_NOT_SAID INT64_MAX

/* A section [gpu PATTERN]. A key that the section does not set is NULL, -1 (spare, take-bound) or
 * CONFIG_PRIORITY_NOT_SAID. */
typedef struct ConfigGpu {
        char *pattern; /* owned; an address has the form of the kernel */
        char *where;   /* owned; file, line and section as written */
        char **pools, **allow, **forbid;
        int64_t spare;
        int64_t priority;
        int take_bound; /* 1: yes; 0: no */
} ConfigGpu;

typedef struct Config {
        uint64_t job_timeout_usec;
        uint32_t jobs_per_gpu;
        uint32_t jobs_per_user;
        uint64_t ready_timeout_usec;
        uint64_t start_timeout_usec;
        uint64_t stop_timeout_usec;
        GArray *also; /* ref; not changed after config_read(): uint32_t, vendor << 16 | device */
        PlacementStrategy strategy;
        GPtrArray *gpus;         /* owned: ConfigGpu, in the order of the files */
        GPtrArray *errors;       /* owned: char *, mistakes with file, line and reason */
        char *runtime_directory; /* owned: "/run/vgpud" */
        char *state_directory;   /* owned: "/var/lib/vgpud" */
        char *writer_path;       /* owned: the program vgpud-write */
        char *nvml_path;         /* owned: the program vgpud-nvml */
        char *systemctl_path;    /* owned: "/usr/bin/systemctl" */
        char *modules_path;      /* owned: "/lib/modules/RELEASE" of the running kernel */
        char *definitions_root;  /* owned: the folder that contains etc/libvirt; "/" */
} Config;

/* The defaults. config_read() adds the files in the directory ("/etc/vgpud"), which may be missing. */
Config *config_new(void);
void config_read(Config *c, const char *directory);
Config *config_free(Config *c);

/* All sections that match the GPU, merged into one; borrowed. */
ConfigGpu config_find_gpu(const Config *c, const char *name);
