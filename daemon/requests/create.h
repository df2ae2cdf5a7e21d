/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Requests for new instances: checks, the choice of the GPU, the job. A request may also define its instances
 * (`keep`), or be the start of a definition (`definition`). */

#include "base/error.h"
#include "daemon/forward.h"
#include "daemon/requests/place.h"
#include "drivers-glue/snapshot.h"

/* The facts for new definitions that no other member of CreateRequest has. */
typedef struct CreateKeep {
        bool gpu;         /* the caller named the GPU */
        const char *pool; /* the pool that the caller named; NULL: none */
        bool autostart;
} CreateKeep;

typedef struct CreateRequest {
        const char *gpu;              /* sysfs name or address; NULL or "": any GPU that offers the type */
        const char *type;             /* id or alias */
        const char *uuid;             /* any case; NULL: generate one. Not with count > 1 */
        const char *name;             /* NULL: none. Not with count > 1 */
        const char *parent;           /* sysfs name of the parent; NULL: any */
        const GPtrArray *attributes;  /* VgpuAttribute; NULL: none */
        uint32_t count;               /* 1..1024, all or nothing */
        const PlaceHints *hints;      /* NULL: none. Only without gpu */
        const char *chosen;           /* see place_resolve(). Only without gpu */
        const CreateKeep *keep;       /* define the instances first; NULL: do not */
        const Definition *definition; /* the definition that the request starts; NULL: none. Not with keep */
        uid_t requester;
} CreateRequest;

/* Find the GPU and the type of the request, before polkit is asked about them. Errors: INVALID, NO_SUCH_GPU,
 * NO_SUCH_TYPE, AMBIGUOUS (the type), UNSUPPORTED, EXISTS, GPU_STUCK, FAILED, NO_CAPACITY, TOO_MANY_JOBS. */
int request_resolve_create(Model *m, const CreateRequest *request, Gpu **ret_gpu, const VgpuType **ret_type,
                           VgpudError *reterr);

/* Write the definitions if the request keeps any, then queue a job; if the job fails, it removes the
 * definitions again. *ret stays valid at least until control returns to the event loop. Further errors:
 * CANCELED (the daemon stops), QUOTA. */
int request_create(Model *m, const CreateRequest *request, Job **ret, VgpudError *reterr);
