/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The slots of one GPU that vgpud handed out, shared by the main thread and the lane. The records of the main
 * thread name these slots too, but a lane must know at once which VFs it handed out or returned itself. Any
 * thread may call the functions. */

#include <stdbool.h>
#include <stdint.h>

#include "base/macros.h"

typedef struct VgpuSlots VgpuSlots;

VgpuSlots *vgpu_slots_new(void);
VgpuSlots *vgpu_slots_ref(VgpuSlots *s);
VgpuSlots *vgpu_slots_unref(VgpuSlots *s);

/* Note the slot of an instance. The note replaces an earlier slot of the instance and an earlier instance of
 * the slot. identity: vgpu_io_identify() of the device; 0: not known. */
void vgpu_slots_add(VgpuSlots *s, const char *uuid, const char *slot, uint64_t identity);
/* Forget the slot of an instance. No-op if there is none. */
void vgpu_slots_remove(VgpuSlots *s, const char *uuid);

/* True if vgpud handed out the slot. *ret_identity is the identity of its device; 0: not known. */
bool vgpu_slots_find(VgpuSlots *s, const char *slot, uint64_t *ret_identity);
/* The UUIDs of all instances with a slot; NULL-terminated. */
char **vgpu_slots_list(VgpuSlots *s);
