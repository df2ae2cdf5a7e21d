/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Finds the object that a caller names. */

#include "base/error.h"
#include "daemon/forward.h"
#include "daemon/store/records.h"

/* A GPU by its sysfs name, or a unique beginning or end of it ("08:00.0"). Errors: INVALID, NO_SUCH_GPU,
 * AMBIGUOUS. */
int request_find_gpu(Model *m, const char *what, Gpu **ret, VgpudError *reterr);

/* An instance by name, UUID in any case, or a unique beginning of a UUID. Errors: INVALID, NO_SUCH_INSTANCE,
 * AMBIGUOUS; where only a record of the instance exists: GPU_STUCK, UNSUPPORTED, GPU_GONE. */
int request_find_instance(Model *m, const char *what, Instance **ret, VgpudError *reterr);

/* Why the instance of a record is neither in the model nor being created, newly allocated: "GPU 0000:03:00.0,
 * which has not answered yet". The result is the code of the error. */
VgpudErrorCode request_explain_record(Model *m, const Record *record, char **ret);

/* Which instance, job or record has the UUID, in words, newly allocated; NULL: it is free. */
char *request_find_uuid(Model *m, const char *uuid);
