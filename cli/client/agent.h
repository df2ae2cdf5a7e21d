/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The polkit agent of the terminal: asks for a password when polkit wants one and no desktop does it. */

#include <sys/types.h>

typedef struct Agent {
        pid_t pid; /* 0: none */
} Agent;

void agent_init(Agent *a);
/* Start it, unless it would be of no use: without a terminal, for root, or when it is not installed. Comes back
 * when the agent is ready. A failure is no error: polkit then refuses, and says so. */
void agent_open(Agent *a);
void agent_close(Agent *a);
