/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The control socket: a test drives the host while the command runs, one command per line. The reply is "ok",
 * "ok TEXT", "ok +N" and N lines, or "error NAME[: TEXT]". A command that blocks, such as the removal of an
 * open device, blocks only its own connection. control_call() is the client.
 */

#include <glib.h>

/* environment: the variables "NAME=VALUE" by which a process enters the host; the command "where" prints
 * them. */
int control_listen(const char *path, const char *const *environment);
/* Sends one command; ret_text (free it) holds the lines of the answer without "ok" or "error". -EREMOTEIO: the
 * host said "error". */
int control_call(const char *path, const char *command, char **ret_text);
