/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The signals by which a user or a service manager ends a command that waits. */

#include <systemd/sd-event.h>

/* Blocks SIGINT and SIGTERM and hands them to the callback. Returns 0 or a negative errno. */
int interrupt_watch(sd_event *event, sd_event_signal_handler_t on_interrupt, void *userdata);
