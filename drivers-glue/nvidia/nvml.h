/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What NVIDIA's library says of a GPU, by way of vgpud-nvml, and the modes of a GPU that only it can set.
 *
 * A query costs a process and the start of the library, which takes milliseconds where the driver is kept
 * loaded and can take much longer where it is not. It is made once for each scan, which is once for each job
 * and each burst of events, never for each virtual function, and only where /dev/nvidiactl exists: without that
 * node the library cannot reach the driver, and looking for it is one fstatat(2). The library does not make the
 * node for us, because vgpud may not make any. Nothing else depends on the answer: who finds it dear does
 * without the library. */

#include "drivers-glue/driver.h"
#include "drivers-glue/nvidia/nvml-text.h"

/* NULL when there is nobody to ask, or no answer: then everything goes on without. */
NvmlAnswer *nvml_query(VgpuTarget *t);

/* The modes that it tells: "heterogeneous" and "mig", "yes" or "no". */
void nvml_add_modes(const NvmlAnswer *a, GpuSnapshot *s);

/* VgpuDriver.configure: set one of them and verify that it is set. */
int nvidia_configure(VgpuTarget *t, const char *mode, const char *value, VgpudError *reterr);
