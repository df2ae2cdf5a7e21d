/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Finds objects by whole names, addresses and UUIDs. */

#include "base/error.h"
#include "daemon/forward.h"
#include "daemon/store/records.h"

/* Turn a PCI address in any form into the sysfs name, and return any other word unchanged. Newly allocated. */
char *request_read_address(const char *word);

/* Find a GPU by whole sysfs name, or by its address in any form. Errors: INVALID (not a possible name),
 * NO_SUCH_GPU. */
int request_get_gpu(Model *m, const char *word, Gpu **ret, VgpudError *reterr);

/* Find the sysfs name of a GPU that the host has or whose settings are kept. *ret is newly allocated. Errors as
 * for request_get_gpu(). */
int request_get_kept_gpu(Model *m, const char *word, char **ret, VgpudError *reterr);

/* Find an instance by whole name, or by UUID in any case. Errors: INVALID (neither a name nor a UUID),
 * NO_SUCH_INSTANCE; if only a record exists: GPU_STUCK, UNSUPPORTED, GPU_GONE. */
int request_get_instance(Model *m, const char *word, Instance **ret, VgpudError *reterr);

/* Explain why the model lacks the instance of a record. *ret: a clause, newly allocated. Returns the error code
 * for the explanation. */
VgpudErrorCode request_explain_record(Model *m, const Record *record, char **ret);

/* Describe the instance, job or record that has the UUID. Newly allocated; NULL: the UUID is free. */
char *request_find_uuid(Model *m, const char *uuid);

/* Check that vgpud created the instance. Error: FOREIGN. */
int request_check_ours(const Instance *instance, VgpudError *reterr);
/* Check that no job works on the instance. Error: IN_USE, with the job. */
int request_check_idle(const Instance *instance, VgpudError *reterr);

/* Check that a new instance or definition may have the UUID (in any case) or the name. `own`: the definition
 * that has them already, also if its instance has the name; NULL: none. Errors: INVALID, EXISTS. */
int request_check_uuid(Model *m, const char *word, const Definition *own, VgpudError *reterr);
int request_check_name(Model *m, const char *name, const Definition *own, VgpudError *reterr);
