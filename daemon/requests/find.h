/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Finds objects by whole names, addresses and UUIDs. */

#include "base/error.h"
#include "daemon/forward.h"
#include "daemon/store/records.h"

/* The sysfs name of a PCI address in any form; other words stay. Newly allocated. */
char *request_read_address(const char *word);

/* Find a GPU by whole sysfs name, or by its address in any form. Errors: INVALID (not a possible name),
 * NO_SUCH_GPU. */
int request_get_gpu(Model *m, const char *word, Gpu **ret, VgpudError *reterr);

/* Find an instance by whole name, or by UUID in any case. Errors: INVALID (neither a name nor a UUID),
 * NO_SUCH_INSTANCE; if only a record exists: GPU_STUCK, UNSUPPORTED, GPU_GONE. */
int request_get_instance(Model *m, const char *word, Instance **ret, VgpudError *reterr);

/* *ret: newly allocated clause that explains why the model lacks the instance of a record. Returns the code of
 * the error. */
VgpudErrorCode request_explain_record(Model *m, const Record *record, char **ret);

/* Newly allocated description of the instance, job or record with the UUID; NULL: none. */
char *request_find_uuid(Model *m, const char *uuid);
