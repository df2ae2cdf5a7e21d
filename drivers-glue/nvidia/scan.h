/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The scan of an NVIDIA GPU without mediated devices. */

#include "drivers-glue/driver.h"

/* VgpuDriver.scan. */
int nvidia_scan(VgpuTarget *t, GpuSnapshot **ret, VgpudError *reterr);
/* VgpuDriver.find_instances. */
void nvidia_find_instances(VgpuTarget *t, const char *parent, GpuSnapshot *s);

/* The vGPU of this type on this VF, as the kernel shows it. `uuid` may be NULL. */
int nvidia_read_instance(VgpuIo *io, const VgpuVf *vf, uint32_t type, const char *uuid, InstanceDesc **ret);
