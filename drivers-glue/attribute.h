/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A vendor attribute, or an option of a type. create() applies the attributes of a request in their order. An
 * attribute of an instance has the value that the kernel shows, or that match_reservation() took from the
 * record. The name is a path of at most two components below the folder of the instance ("nvidia/vgpu_params"),
 * or an option of the type. */

#include <stdbool.h>

#include "base/error.h"
#include "base/macros.h"
#include "drivers-glue/io/io.h"

typedef struct VgpuAttribute {
        char *name;
        char *value;
} VgpuAttribute;

VgpuAttribute *vgpu_attribute_new(const char *name, const char *value);
VgpuAttribute *vgpu_attribute_free(VgpuAttribute *a);
/* An empty array that frees its elements, VgpuAttribute. */
GPtrArray *vgpu_attributes_new(void);
/* A deep copy; NULL stays NULL. */
GPtrArray *vgpu_attributes_copy(const GPtrArray *attributes);
/* True for one or two components of [A-Za-z0-9_.-] that do not begin with a dot, except the kernel's own files
 * of a device (remove, uevent, driver, driver_override, subsystem, iommu_group, mdev_type, power, …). */
bool vgpu_attribute_name_is_valid(const char *name);
/* True for one line of UTF-8 without control characters, of 1 to VGPU_IO_ATTR_MAX bytes. */
bool vgpu_attribute_value_is_valid(const char *value);
/* Write the value to the file at `path`, in the form that the driver expects. If the driver is known to show
 * the value, read it back. INVALID if the caller can correct the value; FAILED in other cases, also if the
 * driver shows another value than it was given. */
int vgpu_attribute_write(VgpuIo *io, const char *path, const VgpuAttribute *a, VgpudError *reterr);
/* INVALID for the first VgpuAttribute whose name or value is not valid. `attributes` may be NULL. */
int vgpu_attributes_check(const GPtrArray *attributes, VgpudError *reterr);
