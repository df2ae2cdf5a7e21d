/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The connection to the daemon, and calls of its methods. Functions that return int return 0, or the exit
 * status after printing an error. */

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-bus.h>

#include "cli/arguments.h"
#include "cli/client/agent.h"
#include "cli/client/ssh.h"
#include "cli/output/errors.h"

typedef struct Client {
        const Arguments *args; /* borrowed */
        sd_bus *bus;           /* owned */
        Ssh ssh;
        Agent agent;
        struct Waiter *waiter;   /* borrowed; receives the signals of `matches`; NULL: ignore them */
        sd_bus_slot *matches[4]; /* owned; subscribed by the first calls_run(), until the connection ends */
        char *daemon;            /* owned; unique name of the daemon that answered last; NULL: none yet */
        bool quiet;              /* print no error, start no daemon, limit the wait: answers are optional */
} Client;

int client_open(Client *c, const Arguments *args);
int client_open_quiet(Client *c, const Arguments *args);
void client_close(Client *c);
#define _cleanup_client_ _cleanup_(client_close)

/* Lets polkit ask for a password on the terminal. Called before calls that change the host. */
void client_allow_password(Client *c);

/* A new method call; NULL after printing an error and setting *status. Building a call fails only if D-Bus
 * cannot carry a word of the user. */
sd_bus_message *client_call_new(Client *c, const char *path, const char *interface, const char *member,
                                int *status);

/* A complete call whose only argument is the a{sv} of options, which only asks for details of errors. */
sd_bus_message *client_call_new_plain(Client *c, const char *path, const char *interface, const char *member,
                                      int *status);

/* client_options_begin() opens the a{sv} of options of a method and asks for details of errors.
 * client_options_end() closes the a{sv}. These functions return 0 or a negative errno. */
int client_options_begin(sd_bus_message *m);
int client_options_end(sd_bus_message *m);
/* Appends all arguments of a method that takes a word and no options of its own. Returns 0 or a negative errno.
 */
int client_append_word(sd_bus_message *m, const char *word);

/* Prints that a call could not be built, and returns the exit status. */
int client_not_sent(const Client *c, int r);

/* Sends the call and waits for the answer. Returns true if *ret is the answer. Otherwise call_error_read() or
 * call_error_set_errno() has filled `error`, which was empty. */
bool client_call(Client *c, sd_bus_message *m, sd_bus_message **ret, ErrorInfo *error);

/* Remembers the sender of `answer`, a method return, as the daemon: the bus permits returns only from the
 * called daemon. */
void client_learn_daemon(Client *c, sd_bus_message *answer);

/* True if the daemon, or the bus, sent the signal. Handlers of signals must check: a match of sd-bus for a
 * well-known name also accepts a unicast signal of any client. */
bool client_is_from_daemon(const Client *c, sd_bus_message *signal);
bool client_is_from_bus(sd_bus_message *signal);
/* True if the answer proves that the daemon of the earlier answers has left the bus. */
bool client_is_from_other_daemon(const Client *c, sd_bus_message *answer);

/* Prints the error of a call, explained, and returns the exit status. `said`: the error as the daemon reports
 * it. `asked`: the beginning of the message, which names the user's request ("Could not destroy …"). `object`:
 * the object as the user named it; NULL: none. */
int client_failed(const Client *c, const ErrorInfo *said, const char *object, const char *asked);
/* The argument `asked` for a call that is only a step of the user's request. */
#define CLIENT_ASKED "Could not ask vgpud"

/* True if none of `n_calls` messages has been sent, because the authentication with the bus goes on. */
bool client_has_sent_nothing(const Client *c, size_t n_calls);
/* True if the errno means that the connection to the bus is gone, because the bus or ssh(1) has ended. */
bool client_is_lost(int r);
/* client_failed() for an errno of client_is_lost(). */
int client_failed_lost(const Client *c, int r);

/* Prints that an answer could not be read, and returns the exit status. */
int client_unreadable(const Client *c, int r);

/* Tells a user on a terminal which mistakes vgpud.conf has, which of its sections match no GPU, and which files
 * of definitions or kept settings need a correction. */
void client_remark_config(Client *c);
/* Reads the property StoreErrors; *ret is NULL without errors. Returns 0 or a negative errno: an older daemon
 * has no such property. */
int client_read_store_errors(Client *c, char ***ret);
