/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The system bus of another host, over ssh(1) and systemd-stdio-bridge(1), as with
 * sd_bus_open_system_remote(3). Here, however, ssh survives Ctrl-C, so that vgpuctl can still ask the other
 * host about the job in progress. ssh ends with vgpuctl, even if vgpuctl is killed. */

#include <stdbool.h>
#include <sys/types.h>
#include <systemd/sd-bus.h>

typedef struct Ssh {
        pid_t pid; /* 0: not running */
} Ssh;

/* `host`: [USER@]HOST[:PORT]. `ask`: ssh may ask for a password and has no time limit; false for completion.
 * Returns 0 or a negative errno. A failure of ssh to connect shows later, as a closed connection. */
int ssh_open(Ssh *s, const char *host, bool ask, sd_bus **ret);
/* Ends ssh. The caller must have closed the bus. */
void ssh_close(Ssh *s);
