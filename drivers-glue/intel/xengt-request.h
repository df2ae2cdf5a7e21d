/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The types and options of vGPUs of XenGT, and the request that a caller makes with them. No I/O. */

#include "drivers-glue/driver.h"
#include "drivers-glue/intel/xengt-room.h"

#define XENGT_DEVICE_API "xengt"
/* The last ID before DOMID_FIRST_RESERVED of Xen. */
#define XENGT_VM_ID_MAX 0x7fef

typedef struct XengtPreset {
        const char *id, *name, *description;
        XengtSize size;
        bool custom; /* options can change the size */
} XengtPreset;

typedef struct XengtRequest {
        const char *type_id; /* static */
        XengtSize size;
        uint32_t vm_id;
        int primary; /* -1: not set */
        uint32_t cap;
        bool has_cap;
} XengtRequest;

/* The types in order; NULL after the last one. */
const XengtPreset *xengt_preset_get(size_t i);

/* The type without its availability. */
VgpuType *xengt_preset_new_type(const XengtPreset *p);

/* The id of the type with these sizes in bytes; the id of the custom type if no other has them. */
const char *xengt_preset_guess(uint64_t low, uint64_t high);

/* Read the request. Errors: NO_SUCH_TYPE, INVALID. */
int xengt_request_read(const CreateArgs *args, XengtRequest *w, VgpudError *reterr);

/* The text for the record (CreateArgs.reserve). */
char *xengt_request_to_text(const XengtRequest *w);
