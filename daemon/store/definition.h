/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A definition: the description of an instance that vgpud can create again. definitions.h stores all
 * definitions. */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/macros.h"
#include "base/uuid.h"
#include "daemon/forward.h"

struct Definition {
        char uuid[UUID_STRLEN + 1]; /* of the definition and of its instance */
        char *type;                 /* key: vgpu_type_make_key() */
        char *gpu;                  /* sysfs name; NULL: any GPU of the pool */
        char *parent;               /* sysfs name; NULL: any. Only with gpu */
        char *pool;                 /* NULL: the default pool. Only without gpu */
        char *name;                 /* NULL: none */
        GPtrArray *attributes;      /* owned: VgpuAttribute, in order; never NULL */
        uid_t owner;
        uint64_t created_usec; /* CLOCK_REALTIME */
        bool autostart;        /* vgpud starts the definition after each boot of the host */
};

/* Limits of the attributes of one definition: their number, and the bytes of all names and values. */
#define DEFINITION_ATTRIBUTES_MAX      64U
#define DEFINITION_ATTRIBUTE_BYTES_MAX 4096U

/* A definition with this UUID and nothing else. */
Definition *definition_new(const char *uuid);
Definition *definition_copy(const Definition *d);
void definition_free(void *d);
static inline void definition_freep(Definition **d)
{
        definition_free(*d);
}
#define _cleanup_definition_ _cleanup_(definition_freep)

/* Whether the text, which may be NULL, has the form of vgpu_type_make_key():
 * vendor/product/class/framebuffer/name. */
bool definition_type_is_key(const char *type);

/* INVALID if a member is missing, is malformed, is too long or contradicts another member. */
int definition_check(const Definition *d, VgpudError *reterr);

/* A checksum of the members that a start uses: all except uuid, owner, created_usec and autostart. If one
 * create request defines several instances (CreateRequest.keep), their definitions have the same checksum.
 * Newly allocated. */
char *definition_checksum(const Definition *d);
