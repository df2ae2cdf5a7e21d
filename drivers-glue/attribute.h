/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A vendor attribute. In a request, attributes are written after creation in the order given; in an instance,
 * they have the values that the kernel shows. The name is a path of at most two components below the instance's
 * folder
 * ("nvidia/vgpu_params"), or one of the options of the type. */

#include <stdbool.h>

#include "base/error.h"
#include "base/macros.h"

typedef struct VgpuAttribute {
        char *name;
        char *value;
} VgpuAttribute;

VgpuAttribute *vgpu_attribute_new(const char *name, const char *value);
VgpuAttribute *vgpu_attribute_free(VgpuAttribute *a);
/* One or two components of [A-Za-z0-9_.-], not beginning with a dot, and none of the kernel's own files of a
 * device (remove, uevent, driver, driver_override, subsystem, iommu_group, mdev_type, power, …). */
bool vgpu_attribute_name_is_valid(const char *name);
/* One line of UTF-8 without control characters, of 1 to VGPU_IO_ATTR_MAX bytes. */
bool vgpu_attribute_value_is_valid(const char *value);
/* INVALID, naming the first of these VgpuAttribute whose name or value is not valid. NULL: there are none. */
int vgpu_attributes_check(const GPtrArray *attributes, VgpudError *reterr);
