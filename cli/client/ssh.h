/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The system bus of another host, over ssh(1) and systemd-stdio-bridge(1), as sd_bus_open_system_remote(3) has
 * it. The difference is what becomes of ssh on Ctrl-C, which reaches all programs of a terminal: it goes on, so
 * that the other host can still be asked what goes on there. It ends with us, also when we are killed. */

#include <stdbool.h>
#include <sys/types.h>
#include <systemd/sd-bus.h>

typedef struct Ssh {
        pid_t pid; /* 0: none */
} Ssh;

/* `host`: [USER@]HOST[:PORT]. `ask`: whether ssh may ask for a password, and take its time; without it is for
 * completion. Returns 0 or a negative errno; that ssh cannot connect is known only later, as a connection that
 * ends. */
int ssh_open(Ssh *s, const char *host, bool ask, sd_bus **ret);
/* After the bus has been closed. */
void ssh_close(Ssh *s);
