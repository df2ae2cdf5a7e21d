/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Finds the object that a caller names. */

#include "base/error.h"
#include "daemon/forward.h"
#include "daemon/store/records.h"

/* The GPU of exactly this sysfs name. Errors: INVALID (no GPU can have the name), NO_SUCH_GPU. */
int request_get_gpu(Model *m, const char *name, Gpu **ret, VgpudError *reterr);

/* The instance of exactly this name, or of this UUID in any case. Errors: INVALID (neither a name nor a UUID),
 * NO_SUCH_INSTANCE; where only a record of the instance exists: GPU_STUCK, UNSUPPORTED, GPU_GONE. */
int request_get_instance(Model *m, const char *word, Instance **ret, VgpudError *reterr);

/* Why the instance of a record is neither in the model nor being created, newly allocated: "GPU 0000:03:00.0,
 * which has not answered yet". The result is the code of the error. */
VgpudErrorCode request_explain_record(Model *m, const Record *record, char **ret);

/* Which instance, job or record has the UUID, in words, newly allocated; NULL: it is free. */
char *request_find_uuid(Model *m, const char *uuid);
