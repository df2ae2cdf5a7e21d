/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The file of a definition:
 *
 *     { "version": 1, "type": "10de/L40S/Q/8192/L40S-8Q", "gpu": "0000:41:00.0", "parent": "0000:41:00.4",
 *       "pool": "ai", "name": "training", "owner": 1000, "created": 1764500000000000,
 *       "autostart": true, "attributes": [ { "name": "vgpu_params", "value": "frame_rate_limiter=0" } ] }
 *
 * gpu, parent, pool, name and attributes are left out if they are not set, and autostart if it is false. The
 * name of the file has the UUID.
 */

#include <stddef.h>

#include "daemon/store/definition.h"

/* Largest file. No definition that passes definition_check() needs more. */
#define DEFINITION_JSON_MAX (64U * 1024U)

/* The text with a newline at its end. `d` must pass definition_check(). */
char *definition_to_json(const Definition *d, size_t *ret_size);

/* Read any text with a NUL byte at its end; the result passes definition_check(). Errors: UNSUPPORTED: the
 * format has a newer version; INVALID: any other fault, also an unknown member. */
int definition_from_json(const char *uuid, const char *text, size_t size, Definition **ret, VgpudError *reterr);
