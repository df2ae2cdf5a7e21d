/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Applies what the lane brought back to records and model. */

#include "daemon/work/job.h"

/* The lane has finished the job, and the queue has let go of it. `instances`: Instance, those on which it
 * worked and that still exist. Afterwards job->error is final and the model shows the result. */
void job_apply_result(Job *job, const GPtrArray *instances);
