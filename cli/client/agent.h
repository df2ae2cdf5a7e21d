/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The polkit agent of the terminal: asks for a password if polkit needs one and no agent of a desktop asks. */

#include <sys/types.h>

typedef struct Agent {
        pid_t pid; /* 0: not running */
} Agent;

void agent_init(Agent *a);
/* Starts the agent and waits until the agent is registered with polkit. Does nothing for root, without a
 * terminal, or if no agent is installed. A failure is ignored, because polkit refuses the call then. */
void agent_open(Agent *a);
void agent_close(Agent *a);
