/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* org.vgpud1.Job */

#include <systemd/sd-bus.h>

/* All that can change of a job: its state and its start. */
#define BUS_JOB_CHANGED 1U

extern const sd_bus_vtable bus_job_vtable[];

/* The properties that these changes concern; see bus_changed_properties(). */
char **bus_job_properties(unsigned changes);
