/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The connection to the daemon: opening it, calls, and what their errors mean to a person and to the exit
 * status. */

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-bus.h>

#include "cli/arguments.h"
#include "cli/client/agent.h"
#include "cli/client/ssh.h"
#include "cli/host/host.h"

typedef struct Client {
        const Arguments *args; /* borrowed */
        sd_bus *bus;           /* owned */
        Ssh ssh;               /* to another host */
        Agent agent;
} Client;

/* Returns 0, or the exit status after having said what is wrong. */
int client_open(Client *c, const Arguments *args);
void client_close(Client *c);
#define _cleanup_client_ _cleanup_(client_close)

/* Have a password asked for on this terminal, should polkit want one. For calls that change something. */
void client_allow_password(Client *c);

/* A call of a method that takes options last; the dictionary is closed by client_end_options(). Building a
 * message fails only when something that we send is no valid D-Bus: then the exit status has been set and NULL
 * is returned. */
sd_bus_message *client_call_new(Client *c, const char *path, const char *interface, const char *member,
                                int *status);

/* Everything the daemon knows: one call. */
int client_get_host(Client *c, Host **ret);
/* The same after opening the client. */
int client_open_host(Client *c, const Arguments *args, Host **ret);
/* For a verb that takes [GPU]: everything and the GPU of the first word; without a word and without --json only
 * what `get_table` gets. */
int client_open_host_and_gpu(Client *c, const Arguments *args, int (*get_table)(Client *c, Host **ret),
                             Host **ret, GpuInfo **ret_gpu);
/* Only instances, or only types, with what their tables show: a tenth of the work. Where the numbers of a GPU
 * are those of before, types come with everything, so that it can be said why. */
int client_get_instances(Client *c, Host **ret);
int client_get_types(Client *c, Host **ret);

/* On a terminal: say that a part of the configuration is ignored, if it is. */
void client_remark_config(Client *c);

/* Say what was asked ("Could not destroy …") and why it failed; returns the exit status. */
int client_failed(const Client *c, const sd_bus_error *error, const char *object, const char *asked);

/* The same without saying it, for results in JSON. *hint may become NULL. */
typedef struct Failure {
        char *name;    /* D-Bus name of the error */
        char *message; /* one sentence */
        const char *hint;
        int status;
} Failure;

Failure failure_from_error(const Client *c, const sd_bus_error *error, const char *asked);
void failure_done(Failure *f);
#define _cleanup_failure_ _cleanup_(failure_done)
