/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The calls Define, DefineInstance and Edit, which queue no job. Functions that return int return 0, or the
 * exit status after printing an error. */

#include "cli/client/client.h"

/* Options that describe the instance. */
#define DEFINE_OPTIONS (OPTION_TYPE | OPTION_GPU | OPTION_POOL | OPTION_PARENT | OPTION_NAME | OPTION_ATTR)

/* Fails if options are given that exclude each other. */
int define_check_options(const Arguments *a);

/* Builds the call with the first argument `subject`, the options of the command line, and the option type
 * unless `type` is NULL. */
int define_call_new(Client *c, const char *member, const char *subject, const char *type, sd_bus_message **ret);

/* Sends the call, and takes it over. `word`: the word of the command line that an error names. `uuid`: the
 * definition; NULL: the answer has the UUID, which is printed. `from`: the UUID of the instance of
 * DefineInstance; NULL for the other calls. */
int define_call_run(Client *c, sd_bus_message *m, const char *word, const char *uuid, const char *from);

/* Changes the one definition of the command line with the options of the command line, for edit and autostart.
 */
int define_edit(const Arguments *a);
