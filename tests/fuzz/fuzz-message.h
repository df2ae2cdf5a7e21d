/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* D-Bus messages from the input. The messages are well-formed, as libsystemd guarantees for received messages,
 * and have any content. */

#include <systemd/sd-bus.h>

#include "fuzz.h"

/* A key of a dictionary and the expected type of the value. */
typedef struct FuzzKey {
        const char *key;
        const char *signature;
} FuzzKey;

/* A method call with a value for each type of the signature, sealed. Most keys of dictionaries are from the
 * table, and most variants have the type from the table. */
sd_bus_message *fuzz_message_new(FuzzInput *in, const char *signature, const FuzzKey *keys, size_t n_keys);

/* The error that answers a call: name and message, then a value for each type of the signature. */
sd_bus_message *fuzz_message_new_error(FuzzInput *in, const char *signature, const FuzzKey *keys,
                                       size_t n_keys);
