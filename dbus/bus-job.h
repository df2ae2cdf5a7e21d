/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* org.vgpud1.Job */

#include <systemd/sd-bus.h>

/* State and start of a job; the rest is constant. */
#define BUS_JOB_CHANGED 1U

extern const sd_bus_vtable bus_job_vtable[];

/* The changed properties; see bus_changed_properties(). */
char **bus_job_properties(unsigned changes);
