/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Words for each kind of job: one row per kind. A kind that is not known, from a newer daemon, is described in
 * general words. Functions that return char * return new text. */

#include "cli/host/host.h"

const char *job_doing(const JobInfo *j); /* the verb of a sentence: "makes", "removes" */
char *job_object(const JobInfo *j);      /* the object of that sentence: "2 of mdpy-xga on mdpy" */
char *job_target_text(const JobInfo *j); /* cell of a table: the type, the instance, the setting; or NULL */

/* The line that `show` prints about the kind, such as "Type: mdpy-xga": returns the value, and *ret_title is
 * the title. NULL if `show` has no line for the kind. */
char *job_detail(const JobInfo *j, const char **ret_title);
