/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* org.vgpud1.Job, and the description of a job, live or ended, for GetJob, ListJobs and JobRemoved. */

#include <systemd/sd-bus.h>

#include "base/macros.h"
#include "daemon/work/finished.h"
#include "daemon/work/job.h"

/* The bit for a change of State or StartedUsec; all other properties are constant. */
#define BUS_JOB_CHANGED 1U

extern const sd_bus_vtable bus_job_vtable[];

/* The changed properties; see bus_changed_properties(). */
char **bus_job_properties(unsigned changes);

/* The object path, newly allocated. */
char *bus_job_path(const void *job);

/* Append a{sv}: the answer of GetJob. */
int bus_job_append_live(sd_bus_message *m, const Job *job);
int bus_job_append_ended(sd_bus_message *m, const FinishedJob *job);

/* Append a{sv}: the details of JobRemoved. */
int bus_job_append_removed(sd_bus_message *m, const FinishedJob *job);

/* Append the table of ListJobs. */
int bus_job_append_table(sd_bus_message *m, Model *model, bool with_ended);
