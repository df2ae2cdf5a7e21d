/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Applies the results of a job to records and model. */

#include "daemon/work/job.h"

/* Call this after the lane has finished and the queue has released the job. `instances` are the instances
 * (Instance) of the job that still exist. Afterwards job->error is final and the model shows the result. */
void job_apply_result(Job *job, const GPtrArray *instances);
