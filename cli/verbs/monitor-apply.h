/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Signals that monitor applies to its copy of the objects without asking the daemon. `say`: also print the
 * event. A negative result is an errno: the signal has an unexpected form. */

#include <systemd/sd-bus.h>

#include "cli/arguments.h"
#include "cli/host/host.h"

int apply_interfaces_removed(const Arguments *a, Host *h, bool say, sd_bus_message *signal);
int apply_job_removed(const Arguments *a, Host *h, bool say, sd_bus_message *signal);
int apply_definition_added(const Arguments *a, Host *h, bool say, sd_bus_message *signal);
int apply_definition_changed(const Arguments *a, Host *h, bool say, sd_bus_message *signal);
int apply_definition_removed(const Arguments *a, Host *h, bool say, sd_bus_message *signal);
/* Reads the rest of PropertiesChanged of org.vgpud1.Manager, and prints the readiness. */
int apply_readiness(const Arguments *a, bool say, sd_bus_message *signal);
