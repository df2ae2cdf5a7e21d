/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* org.vgpud1.Gpu */

#include <stdbool.h>
#include <systemd/sd-bus.h>

#include "daemon/forward.h"

/* Besides the bits of GpuChange: the instance on a VF of the GPU. */
#define BUS_GPU_CHANGED_OCCUPANCY (1U << 31)

extern const sd_bus_vtable bus_gpu_vtable[];

/* The changed properties; see bus_changed_properties(). */
char **bus_gpu_properties(unsigned changes);

/* The instance is a VF of its GPU, or on one. */
bool bus_gpu_instance_has_vf(const Instance *instance);
