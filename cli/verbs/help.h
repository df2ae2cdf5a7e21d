/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The help of vgpuctl and of each verb, made from the rows of verbs and options. */

#include "cli/verbs/verbs.h"

/* Prints the help of a verb, or of all (NULL), and returns the exit status. */
int help_print(const VerbInfo *verb);
