/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The interface org.vgpud1.Gpu. */

#include <stdbool.h>
#include <systemd/sd-bus.h>

#include "base/macros.h"
#include "daemon/forward.h"

/* Further bits beside those of GpuChange, for values that bus-announce.c compares. */
#define BUS_GPU_CHANGED_MEMORY         (1U << 28)
#define BUS_GPU_CHANGED_MEMORY_USED    (1U << 29)
#define BUS_GPU_CHANGED_INSTANCE_COUNT (1U << 30)
#define BUS_GPU_CHANGED_TYPE_COUNT     (1U << 31)

extern const sd_bus_vtable bus_gpu_vtable[];

/* The changed properties; see bus_changed_properties(). */
char **bus_gpu_properties(unsigned changes);

/* The object path, newly allocated. */
char *bus_gpu_path(const void *gpu);

/* Values of properties that change with several events of the model. UINT64_MAX: unknown. */
uint32_t bus_gpu_instance_count(const Gpu *gpu);
uint32_t bus_gpu_type_count(const Gpu *gpu);
uint64_t bus_gpu_memory_bytes(const Gpu *gpu);
uint64_t bus_gpu_memory_used_bytes(const Gpu *gpu);

/* A row of the table of VFs. */
typedef struct BusVf {
        uint32_t index;
        char *name;
        char *instance; /* object path; "/": none */
        char *driver;   /* "": none */
        char *driver_override;
        const char *state; /* static; "bound-free" or "" */
} BusVf;

/* BusVf, owned, in the order of their indexes. */
GPtrArray *bus_gpu_vfs(const Gpu *gpu);

/* org.vgpud1.Manager.ForgetSettings; `userdata`: the Bus. */
int bus_method_forget_settings(sd_bus_message *call, void *userdata, sd_bus_error *ret_error);

/* Append the table of ListGpus. `columns` NULL: all columns. */
int bus_gpu_append_table(sd_bus_message *m, Model *model, const GPtrArray *columns);
